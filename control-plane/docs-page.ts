import { createHash } from 'node:crypto';
import { openapi } from '#schemas/openapi.ts';
import type { Route } from '#schemas/route.ts';

export interface DocumentedDoor {
	title: string;
	about: string;
	routes: readonly Route[];
}

const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.5rem 0 0; font: 600 1rem ui-monospace, monospace; overflow-wrap: anywhere; }
p { margin: .25rem 0 .5rem; }
.role { font: 0.85rem ui-monospace, monospace; background: var(--soft); border: 1px solid var(--line); border-radius: .3rem; padding: 0 .4rem; }
details { margin: .15rem 0; } summary { cursor: pointer; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .3rem; padding: .6rem; overflow: auto; max-height: 30rem; font-size: .85rem; }
nav a { margin-right: 1rem; }`;

/** No script, no other origin, this one style: whatever a route's text might contain stays text. */
export const docsHeaders = {
	'content-type': 'text/html; charset=utf-8',
	'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
	'x-content-type-options': 'nosniff',
	'referrer-policy': 'no-referrer',
};

const escapeHtml = (text: string): string =>
	text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');

interface Content {
	[mediaType: string]: { schema?: unknown };
}
interface Operation {
	summary: string;
	parameters?: { name: string; in: string; required: boolean; schema: unknown }[];
	requestBody?: { content: Content };
	responses: Record<string, { description: string; content: Content }>;
	'x-least-role'?: string;
}

const schemaBlock = (title: string, schema: unknown): string =>
	`<details><summary>${escapeHtml(title)}</summary><pre>${escapeHtml(JSON.stringify(schema, null, 2))}</pre></details>`;

function operation(method: string, path: string, { summary, parameters = [], requestBody, responses, ...more }: Operation): string {
	const role = more['x-least-role'];
	const good = Object.entries(responses).filter(([status]) => Number(status) < 400);
	const refusals = Object.entries(responses).filter(([status]) => Number(status) >= 400);
	return [
		`<h3>${method.toUpperCase()} ${escapeHtml(path)}</h3>`,
		`<p>${escapeHtml(summary)}. <span class="role">${role ? `least role: ${escapeHtml(role)}` : 'no token'}</span></p>`,
		...(parameters.length > 0 ? [schemaBlock(`Parameters: ${parameters.map(({ name }) => name).join(', ')}`, parameters)] : []),
		...Object.entries(requestBody?.content ?? {}).map(([type, { schema }]) => schemaBlock(`Body, ${type}`, schema)),
		...good.flatMap(([status, { content }]) => Object.entries(content).map(([type, { schema }]) => schemaBlock(`Answer ${status}, ${type}`, schema))),
		...(refusals.length > 0 ? [`<p>Refusals: ${refusals.map(([status, { description }]) => `${status} (${escapeHtml(description)})`).join(', ')}.</p>`] : []),
	].join('\n');
}

/** GET /docs: the calls of all doors on one page that needs nothing else, made from the very tables that the doors are made from. */
export function docsPage(doors: readonly DocumentedDoor[]): string {
	const sections = doors.map(({ title, about, routes }) => {
		const { paths } = openapi(title, routes) as { paths: Record<string, Record<string, Operation>> };
		const calls = Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => operation(method, path, one)));
		return `<section id="${escapeHtml(title)}"><h2>${escapeHtml(title)}</h2><p>${escapeHtml(about)}</p>\n${calls.join('\n')}</section>`;
	});
	return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>surgecast API</title><style>${STYLE}</style></head>
<body><h1>surgecast API</h1>
<nav>${doors.map(({ title }) => `<a href="#${escapeHtml(title)}">${escapeHtml(title)}</a>`).join('')}</nav>
<p>Requests carry <code>Authorization: Bearer &lt;JWT&gt;</code>. Times are RFC 3339. Every refusal is application/problem+json with a code, a trace id and, for 422, the place of each error as a JSON Pointer. The same as OpenAPI 3.1: <code>/openapi.json</code> at each door.</p>
${sections.join('\n')}
</body></html>
`;
}
