/** JSON as it is written, for what no value can say: 1e400, -0, a lone surrogate as its escape. */
export class RawJson {
	readonly text: string;
	constructor(text: string) {
		this.text = text;
	}
}

/** JSON of a value that may hold RawJson. */
export function jsonText(value: unknown): string {
	if (value instanceof RawJson) return value.text;
	if (Array.isArray(value)) return `[${value.map(jsonText).join(',')}]`;
	if (typeof value === 'object' && value !== null)
		return `{${Object.entries(value)
			.map(([key, inner]) => `${JSON.stringify(key)}:${jsonText(inner)}`)
			.join(',')}}`;
	return JSON.stringify(value);
}
