const LINE_CHARS_MAX = 135;
const isScalar = (value: unknown): boolean => typeof value !== 'object' || value === null;

function text(value: unknown, indent: string): string {
	if (typeof value !== 'object' || value === null) return JSON.stringify(value);
	const inner = `${indent}\t`;
	if (Array.isArray(value)) {
		const flat = `[${value.map((each) => JSON.stringify(each)).join(', ')}]`;
		if (value.every(isScalar) && flat.length <= LINE_CHARS_MAX) return flat;
		return `[\n${value.map((each) => `${inner}${text(each, inner)}`).join(',\n')}\n${indent}]`;
	}
	const entries = Object.entries(value).map(([key, each]) => `${inner}${JSON.stringify(key)}: ${text(each, inner)}`);
	return entries.length === 0 ? '{}' : `{\n${entries.join(',\n')}\n${indent}}`;
}

/** JSON as it is committed, lists of scalars on one line where they fit: as the formatter leaves it, for a manifest is addressed by its text. */
export const jsonText = (value: object): string => `${text(value, '')}\n`;
