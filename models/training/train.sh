#!/usr/bin/env bash
# models/training/train.sh --data DIR --to YYYY-MM-DD --out DIR [--name demand] [--version 1]
# DIR of --data: months of counts by zone and hour, or a data set that infra/training/dataset.ts made of them (rows.f32, rows.json).
# Makes its own virtual environment under ~/.cache/surgecast (90 MB from PyPI, once) and the data set in OUT/dataset.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
root="$here/../.."

data='' out='' rest=()
while (($#)); do
	case "$1" in
		--data) data="${2:-}"; shift 2 ;;
		--out) out="${2:-}"; shift 2 ;;
		*) rest+=("$1"); shift ;;
	esac
done
if [[ -z "$data" || -z "$out" ]]; then
	sed -n '2,4p' "${BASH_SOURCE[0]}" >&2
	exit 1
fi
mkdir -p "$out"

if [[ ! -e "$data/rows.json" ]]; then
	PATH="$root/node_modules/.bin:$PATH" node "$root/infra/training/dataset.ts" --data "$data" --out "$out/dataset"
	data="$out/dataset"
fi

environment="${XDG_CACHE_HOME:-$HOME/.cache}/surgecast/training-$(sha256sum "$here/requirements.txt" | cut -c1-12)"
if [[ ! -e "$environment/complete" ]]; then
	python3 -m venv "$environment"
	"$environment/bin/pip" install --quiet --no-deps --requirement "$here/requirements.txt"
	touch "$environment/complete"
fi

revision="$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)"
PYTHONDONTWRITEBYTECODE=1 exec "$environment/bin/python" "$here/train.py" --data "$data" --out "$out" --revision "$revision" "${rest[@]}"
