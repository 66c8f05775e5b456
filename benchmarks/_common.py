"""What the benchmark scripts share: where the clips are, the machine's name, and the result file."""

import json
import os
import platform
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("AVEL_SHARED", ROOT.parent / "shared"))


def machine() -> dict[str, Any]:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [
        flag for flag in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_fp16") if flag in flags
    ]
    return {"system": platform.platform(), "cores": os.cpu_count(), "cpu_features": names}


def save(script: str, result: dict[str, Any]) -> None:
    path = Path(script).with_suffix(".json")
    path.write_text(json.dumps({"machine": machine(), **result}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\nwritten to {path.name}")
