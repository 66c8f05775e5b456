#!/usr/bin/env bash
# Question:     An ELAN file has two annotations in one tier that carry the same ANNOTATION_ID, as some converters write
#               them. How many annotations does pympi-ling give for the tier?
# Common guess: Two; or an error that says the identifiers are not unique.
# Seen:         One, the later. The first is gone without a word: the reader keeps a tier's annotations in a dictionary by
#               identifier. The same happens to two tiers of one TIER_ID. ELAN itself shows both annotations.
# Version:      pympi-ling 1.71, Python 3.11. Source: pympi/Elan.py, parse_eaf: `tiers[tier_id][0][annotation_id] = ...`.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pympi-ling==1.71
cat > "$work/walk.eaf" <<'EAF'
<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
 <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
 <TIME_ORDER>
  <TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="t2" TIME_VALUE="2000"/>
  <TIME_SLOT TIME_SLOT_ID="t3" TIME_VALUE="3000"/><TIME_SLOT TIME_SLOT_ID="t4" TIME_VALUE="4000"/>
 </TIME_ORDER>
 <TIER TIER_ID="events" LINGUISTIC_TYPE_REF="plain">
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t1" TIME_SLOT_REF2="t2">
   <ANNOTATION_VALUE>bark</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="t3" TIME_SLOT_REF2="t4">
   <ANNOTATION_VALUE>meow</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
 </TIER>
 <LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="plain" TIME_ALIGNABLE="true" GRAPHIC_REFERENCES="false"/>
</ANNOTATION_DOCUMENT>
EAF
"$work/venv/bin/python" - "$work/walk.eaf" <<'PY'
import sys

from pympi import Eaf

found = Eaf(sys.argv[1]).get_annotation_data_for_tier("events")
print(found)
assert [annotation[2] for annotation in found] == ["meow"], "pympi-ling now gives other annotations than the last alone"
PY
