// Who may call what, at the three doors of a running product: the contract's tables, written out here on purpose and not taken from the route tables.
import { importJWK, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openKeys, serviceToken } from '#control-plane/keys.ts';
import { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { edgeRoutes } from '#schemas/edge-routes.ts';
import { ingestRoutes } from '#schemas/ingest-routes.ts';
import { problemDocument } from '#schemas/problem.ts';
import { roles } from '#schemas/role.ts';
import type { Route } from '#schemas/route.ts';
import { type Instance, startInstance } from './instance.ts';

type Door = keyof Instance['urls'];
const doors: Record<Door, readonly Route[]> = { edge: edgeRoutes, control: controlPlaneRoutes, ingest: ingestRoutes };

const operator = ['operator', 'admin'];
const author = ['author', ...operator];
const analyst = ['analyst', 'approver', ...author];
const viewer = ['viewer', ...analyst];
const open = null;
const contract: Record<Door, Record<string, readonly string[] | null>> = {
	edge: {
		'POST /api/v1/price': ['client'],
		'POST /api/v1/prices': ['client'],
		'GET /api/v1/forecast': ['client'],
		'GET /healthz': open,
		'GET /readyz': open,
		'GET /metrics': open,
		'GET /openapi.json': open,
	},
	ingest: {
		'POST /api/v1/events': ['producer'],
		'GET /healthz': open,
		'GET /readyz': open,
		'GET /metrics': open,
		'GET /openapi.json': open,
	},
	control: {
		'GET /api/v1/regions': viewer,
		'GET /api/v1/regions/{region_id}': viewer,
		'PUT /api/v1/regions/{region_id}': operator,
		'PUT /api/v1/regions/{region_id}/freeze': operator,
		'POST /api/v1/rule-sets': author,
		'GET /api/v1/rule-sets': viewer,
		'GET /api/v1/rule-sets/{version}': viewer,
		'GET /api/v1/rule-sets/{a}/diff/{b}': viewer,
		'POST /api/v1/rule-sets/{version}/publish': operator,
		'GET /api/v1/releases': viewer,
		'GET /api/v1/releases/current': viewer,
		'GET /api/v1/releases/{release}': viewer,
		'POST /api/v1/releases/{release}/rollback': operator,
		'POST /api/v1/models': author,
		'GET /api/v1/models': viewer,
		'GET /api/v1/models/{name}/{version}': viewer,
		'POST /api/v1/models/{name}/{version}/promote': operator,
		'GET /api/v1/decisions': analyst,
		'GET /api/v1/decisions/{decision_id}': analyst,
		'GET /api/v1/decisions/{decision_id}/explain': analyst,
		'GET /api/v1/analytics/history': analyst,
		'GET /api/v1/analytics/multipliers': analyst,
		'GET /api/v1/analytics/refusals': analyst,
		'GET /api/v1/analytics/accuracy': analyst,
		'GET /api/v1/features/{region_id}': viewer,
		'GET /api/v1/config-changes': viewer,
		'GET /docs': open,
		'GET /.well-known/jwks.json': open,
		'GET /healthz': open,
		'GET /readyz': open,
		'GET /metrics': open,
		'GET /openapi.json': open,
	},
};
/** Calls between our own processes. */
const internal: [Door, string, string][] = [
	['control', 'GET', '/internal/replay-decisions'],
	['ingest', 'POST', '/internal/decisions'],
	['edge', 'POST', '/internal/frames'],
	['edge', 'POST', '/internal/releases'],
	['edge', 'POST', '/internal/entries'],
	['edge', 'POST', '/internal/models'],
	['edge', 'POST', '/internal/drain'],
	['edge', 'GET', '/internal/shards/0'],
	['edge', 'GET', '/internal/outboxes/0'],
	['edge', 'GET', '/internal/features/sg-central'],
	['edge', 'PUT', '/internal/kv/release'],
	['edge', 'GET', '/internal/kv/release'],
];

const keyOf = ({ method, path }: Route) => `${method.toUpperCase()} ${path}`;

/** Routes that the contract does not know, or that declare no role where it wants one. */
const undeclared = (door: Door, routes: readonly Route[]) =>
	routes.filter((route) => contract[door][keyOf(route)] === undefined || (route.role === null) !== (contract[door][keyOf(route)] === null)).map(keyOf);

let product: Instance;
let tokens: Map<string, string | null>;
beforeAll(async () => {
	product = await startInstance();
	const keys = openKeys(product.directory);
	tokens = new Map([['no token', null]]);
	for (const role of roles) tokens.set(role, await product.token(role));
	tokens.set('service', await serviceToken(keys, { kind: 'edge', audience: 'surgecast' }));
}, 120_000);
afterAll(async () => {
	await product?.stop();
	product?.tidy();
});

async function call(door: Door, method: string, path: string, { token, body }: { token: string | null; body?: string | undefined }) {
	const response = await fetch(product.urls[door] + path, {
		method,
		headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
		...(body === undefined ? {} : { body }),
	});
	const text = await response.text();
	return { status: response.status, text };
}

describe('B13: every route with a token of every role', () => {
	it('every route is in the contract with a role, and every call of the contract is a route', () => {
		for (const [door, routes] of Object.entries(doors) as [Door, readonly Route[]][]) {
			expect(undeclared(door, routes)).toEqual([]);
			expect(routes.map(keyOf).sort()).toEqual(Object.keys(contract[door]).sort());
		}
	});

	it('a route without a role would fail here, known or not', () => {
		const planted = { method: 'get', path: '/api/v1/secrets', role: null, summary: 'Planted', answers: {} } as const;
		expect(undeclared('control', [...controlPlaneRoutes, planted])).toEqual(['GET /api/v1/secrets']);
		const stripped = controlPlaneRoutes.map((route) => (route.path === '/api/v1/models' ? { ...route, role: null } : route)) as Route[];
		expect(undeclared('control', stripped)).toEqual(['POST /api/v1/models', 'GET /api/v1/models']);
	});

	it.each(Object.entries(contract).flatMap(([door, calls]) => Object.entries(calls).map(([key, allowed]) => ({ door: door as Door, key, allowed }))))(
		'$door $key',
		async ({ door, key, allowed }) => {
			const [method = '', path = ''] = key.split(' ');
			// Nothing of it exists or fits, so that what is let in changes nothing.
			const target = path.replace('{region_id}', 'nowhere').replaceAll(/\{\w+\}/g, '999999');
			for (const [role, token] of tokens) {
				const { status, text } = await call(door, method, target, { token, body: method === 'GET' ? undefined : '{}' });
				if (allowed === null || allowed.includes(role)) expect([401, 403, 405, 500], `${role}: ${text}`).not.toContain(status);
				else {
					// The edge has the clients' keys alone for this door: a token of role service is no token there.
					const wanted = role === 'no token' || (role === 'service' && door === 'edge') ? 401 : 403;
					expect([role, status]).toEqual([role, wanted]);
					expect(problemDocument.parse(JSON.parse(text)).code).toBe(wanted === 401 ? 'unauthenticated' : 'forbidden');
				}
			}
		},
	);

	it.each(internal)('%s %s %s is for role service alone', async (door, method, path) => {
		for (const role of [...roles, 'no token']) {
			const { status, text } = await call(door, method, path, { token: tokens.get(role)!, body: method === 'GET' ? undefined : '{}' });
			expect([401, 403], `${role}: ${text}`).toContain(status);
		}
	});
});

describe('B9: a token that is none', () => {
	it('gets 401 with the same body at every call of a door, whatever is wrong with it', async () => {
		const { issuer } = openKeys(product.directory);
		const now = Math.floor(Date.now() / 1000);
		const key = await importJWK(issuer, 'EdDSA');
		const sign = (role: string, claims: object, header: object = {}) =>
			new SignJWT({ iss: 'surgecast-local', aud: 'surgecast', sub: 'me', role, exp: now + 60, ...claims })
				.setProtectedHeader({ alg: 'EdDSA', kid: issuer.kid, ...header })
				.sign(key);
		const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
		for (const [door, role, method, path] of [
			['edge', 'client', 'POST', '/api/v1/price'],
			['control', 'viewer', 'GET', '/api/v1/regions'],
			['ingest', 'producer', 'POST', '/api/v1/events'],
		] as const) {
			const good = await sign(role, {});
			const body = method === 'GET' ? undefined : '{}';
			expect((await call(door, method, path, { token: good, body })).status).not.toBe(401);
			const [, payload, signature] = good.split('.');
			const bad = {
				'no token': null,
				'alg none': `${encode({ alg: 'none' })}.${payload}.`,
				'alg none with a signature': `${encode({ alg: 'none', kid: issuer.kid })}.${payload}.${signature}`,
				'HMAC by the public key': await new SignJWT({ iss: 'surgecast-local', aud: 'surgecast', sub: 'me', role, exp: now + 60 })
					.setProtectedHeader({ alg: 'HS256', kid: issuer.kid })
					.sign(Buffer.from(issuer.x, 'base64url')),
				'another audience': await sign(role, { aud: 'other' }),
				'another issuer': await sign(role, { iss: 'other' }),
				'an unknown kid': await sign(role, {}, { kid: 'unknown' }),
				expired: await sign(role, { exp: now - 60 }),
				'not yet valid': await sign(role, { nbf: now + 60 }),
				'a flipped signature': `${good.slice(0, -3)}AAA`,
				'7 KB of garbage': `${'a'.repeat(7000)}.b.c`,
			};
			const bodies = new Set<string>();
			for (const [what, token] of Object.entries(bad)) {
				const { status, text } = await call(door, method, path, { token, body });
				expect([door, what, status]).toEqual([door, what, 401]);
				const { trace_id, ...rest } = JSON.parse(text);
				expect(trace_id).toMatch(/^[0-9a-f]{32}$/);
				bodies.add(JSON.stringify(rest));
			}
			expect([...bodies]).toHaveLength(1);
			// Beyond the limit of the headers the server may refuse before anybody looks: 431.
			const huge = await call(door, method, path, { token: `${'a'.repeat(50_000)}.${'b'.repeat(50_000)}.c`, body });
			expect([401, 431]).toContain(huge.status);
		}
	});
});
