import subprocess
import sys


def test_openvinos_converter_is_imported_when_somebody_asks_for_it():
    code = (
        "import sys; from avel.runtimes import openvino; print('openvino.tools.ovc' in sys.modules);"
        "print(openvino.convert_model.__module__); print(hasattr(openvino, 'nothing'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "openvino.tools.ovc.convert", "False"]
