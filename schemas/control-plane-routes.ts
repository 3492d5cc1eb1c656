import * as z from 'zod';
import { accuracyAnswer, accuracyQuery, historyAnswer, historyQuery, multipliersAnswer, multipliersQuery, refusalsAnswer, refusalsQuery } from './analytics.ts';
import { slug } from './identifier.ts';
import { instant } from './instant.ts';
import { limits } from './limits.ts';
import { modelManifest } from './model-manifest.ts';
import { priceAnswer } from './price.ts';
import { freezeInput, region, regionInput } from './region.ts';
import { release } from './release.ts';
import { commonRoutes, type Route } from './route.ts';
import { ruleSetDocument } from './rule-set.ts';

const limit = z
	.string()
	.regex(/^\d{1,9}$/, `must be a whole number from 1 to ${limits.list_limit_max}`)
	.transform(Number)
	.pipe(z.int().min(1).max(limits.list_limit_max))
	.default(limits.list_limit_default);
const cursor = z.string().max(limits.cursor_chars_max).optional().describe('next_cursor of the page before');

const listQuery = z.strictObject({ cursor, limit });
export const decisionsQuery = z.strictObject({ region_id: slug.optional(), from: instant.optional(), to: instant.optional(), cursor, limit });

const list = <T extends z.ZodType>(item: T) => z.strictObject({ items: z.array(item), next_cursor: z.string().nullable() });

const ruleSetEntry = z.strictObject({ version: z.int(), name: slug, created_at: z.string(), created_by: z.string() });
const ruleSetAnswer = ruleSetEntry.extend({ document: z.looseObject({}).describe('as written, defaults not filled in') });

const releaseEntry = z.strictObject({
	release: z.int(),
	rule_sets: z.record(slug, z.int()),
	models: release.shape.models,
	created_at: z.string(),
	created_by: z.string(),
});
const releaseAnswer = releaseEntry.extend({ acknowledged: z.array(z.strictObject({ shard: z.int(), at: z.string() })), missing: z.array(z.int()) });

const modelEntry = z.strictObject({
	name: slug,
	version: z.int(),
	digest: z.string(),
	state: z.enum(['registered', 'shadow', 'canary', 'champion']),
	percent: z.number().optional().describe('of users, for a canary'),
	manifest: modelManifest,
	created_at: z.string(),
	created_by: z.string(),
});
const gateReport = z.array(z.strictObject({ check: z.string(), ok: z.boolean(), detail: z.string() }));

export const promotion = z
	.strictObject({ to: z.enum(['shadow', 'canary', 'champion']), percent: z.number().min(0).max(100).optional() })
	.superRefine(({ to, percent }, ctx) => {
		if (to === 'canary' && percent === undefined) ctx.addIssue({ code: 'custom', path: ['percent'], message: 'is required with to = canary' });
		if (to !== 'canary' && percent !== undefined) ctx.addIssue({ code: 'custom', path: ['percent'], message: 'goes with to = canary only' });
	});

export type Promotion = z.output<typeof promotion>;

const decisionItem = priceAnswer.extend({ timestamp: z.string().nullable(), user_hash: z.string().nullable() });

const explanation = z.strictObject({
	decision_id: z.string(),
	reproduces: z.boolean(),
	differences: z.array(z.strictObject({ path: z.string(), stored: z.unknown(), computed: z.unknown() })),
	decision: decisionItem,
	inputs: z.looseObject({}).describe('all that decide read, the features by name'),
});

const featuresAnswer = z.strictObject({
	region_id: slug,
	feature_set: z.string(),
	version: z.int().nullable(),
	as_of: z.string().nullable(),
	age_ms: z.int().nonnegative().nullable(),
	features: z.record(z.string(), z.number().nullable()),
});

const configChange = z.strictObject({ at: z.string(), who: z.string(), what: z.string(), from: z.unknown(), to: z.unknown() });

/** The operators' and data scientists' door. */
export const controlPlaneRoutes = [
	{
		method: 'get',
		path: '/api/v1/regions',
		role: 'viewer',
		summary: 'The catalogue, newest first',
		query: listQuery,
		answers: { 200: list(region) },
	},
	{
		method: 'get',
		path: '/api/v1/regions/{region_id}',
		role: 'viewer',
		summary: 'One region',
		answers: { 200: region },
		problems: ['unknown_region'],
	},
	{
		method: 'put',
		path: '/api/v1/regions/{region_id}',
		role: 'operator',
		summary: 'Creates or changes a region; a new one is priced before the answer. 503: kept, and at the edge later',
		body: regionInput,
		answers: { 200: region, 201: region },
	},
	{
		method: 'put',
		path: '/api/v1/regions/{region_id}/freeze',
		role: 'operator',
		summary: 'Freezes the price of a region at multiplier 1, or thaws it',
		body: freezeInput,
		answers: { 200: region },
		problems: ['unknown_region'],
	},
	{
		method: 'post',
		path: '/api/v1/rule-sets',
		role: 'author',
		summary: 'Saves a rule set as a new version, after all checks; it prices nothing before it is published',
		body: ruleSetDocument,
		answers: { 201: z.strictObject({ version: z.int(), name: slug }) },
	},
	{
		method: 'get',
		path: '/api/v1/rule-sets',
		role: 'viewer',
		summary: 'The versions of all rule sets, newest first, without their documents',
		query: listQuery,
		answers: { 200: list(ruleSetEntry) },
	},
	{
		method: 'get',
		path: '/api/v1/rule-sets/{version}',
		role: 'viewer',
		summary: 'One version with its document',
		answers: { 200: ruleSetAnswer },
		problems: ['not_found'],
	},
	{
		method: 'get',
		path: '/api/v1/rule-sets/{a}/diff/{b}',
		role: 'viewer',
		summary: 'What changes from version a to version b; null stands for absent',
		answers: { 200: z.strictObject({ changes: z.array(z.strictObject({ path: z.string(), from: z.unknown(), to: z.unknown() })) }) },
		problems: ['not_found'],
	},
	{
		method: 'post',
		path: '/api/v1/rule-sets/{version}/publish',
		role: 'operator',
		summary: "A new release with this version in place of its name's last. No body",
		answers: { 201: z.strictObject({ release: z.int(), rule_set: z.int() }) },
		problems: ['not_found'],
	},
	{
		method: 'get',
		path: '/api/v1/releases',
		role: 'viewer',
		summary: 'All releases, newest first',
		query: listQuery,
		answers: { 200: list(releaseEntry) },
	},
	{
		method: 'get',
		path: '/api/v1/releases/current',
		role: 'viewer',
		summary: 'The release in force, and which shards have it',
		answers: { 200: releaseAnswer },
		problems: ['not_found'],
	},
	{
		method: 'get',
		path: '/api/v1/releases/{release}',
		role: 'viewer',
		summary: 'One release, and which shards had it or a later one',
		answers: { 200: releaseAnswer },
		problems: ['not_found'],
	},
	{
		method: 'post',
		path: '/api/v1/releases/{release}/rollback',
		role: 'operator',
		summary: 'A new release with the content of this one. No body. 409 names the regions whose rule set it lacks',
		answers: { 201: z.strictObject({ release: z.int() }) },
		problems: ['not_found', 'conflict'],
	},
	{
		method: 'post',
		path: '/api/v1/models',
		role: 'author',
		summary: 'Registers a model: multipart/form-data with manifest (JSON) and model (ONNX). Inert until it is promoted',
		body: z.strictObject({
			manifest: z.string().meta({ contentMediaType: 'application/json' }),
			model: z.string().meta({ contentMediaType: 'application/octet-stream' }).describe(`ONNX, up to ${limits.model_bytes_max} bytes`),
		}),
		types: ['multipart/form-data'],
		answers: { 201: z.strictObject({ ...modelEntry.shape, report: gateReport }) },
		problems: ['conflict'],
	},
	{
		method: 'get',
		path: '/api/v1/models',
		role: 'viewer',
		summary: 'The registered models, newest first',
		query: listQuery,
		answers: { 200: list(modelEntry) },
	},
	{
		method: 'get',
		path: '/api/v1/models/{name}/{version}',
		role: 'viewer',
		summary: 'One model',
		answers: { 200: modelEntry },
		problems: ['not_found'],
	},
	{
		method: 'post',
		path: '/api/v1/models/{name}/{version}/promote',
		role: 'operator',
		summary: 'A new release in which this model forecasts as shadow, canary (with percent) or champion',
		body: promotion,
		answers: { 201: z.strictObject({ release: z.int() }) },
		problems: ['not_found', 'conflict'],
	},
	{
		method: 'get',
		path: '/api/v1/decisions',
		role: 'analyst',
		summary: 'Stored decisions, newest first: from <= decided_at < to',
		query: decisionsQuery,
		answers: { 200: list(decisionItem) },
	},
	{
		method: 'get',
		path: '/api/v1/decisions/{decision_id}',
		role: 'analyst',
		summary: 'One decision',
		answers: { 200: decisionItem },
		problems: ['not_found'],
	},
	{
		method: 'get',
		path: '/api/v1/decisions/{decision_id}/explain',
		role: 'analyst',
		summary: 'Recomputes a decision from what was stored of it',
		answers: { 200: explanation },
		problems: ['not_found'],
	},
	{
		method: 'get',
		path: '/api/v1/analytics/history',
		role: 'analyst',
		summary: 'Prices and demand of a region over time: from <= t < to, by steps. 503 without ClickHouse, as in the three below',
		query: historyQuery,
		answers: { 200: historyAnswer },
	},
	{
		method: 'get',
		path: '/api/v1/analytics/multipliers',
		role: 'analyst',
		summary: 'How multipliers were distributed over decisions: from <= decided_at < to',
		query: multipliersQuery,
		answers: { 200: multipliersAnswer },
	},
	{
		method: 'get',
		path: '/api/v1/analytics/refusals',
		role: 'analyst',
		summary: 'Late events and dead letters by day and reason: from <= ingested_at < to',
		query: refusalsQuery,
		answers: { 200: refusalsAnswer },
	},
	{
		method: 'get',
		path: '/api/v1/analytics/accuracy',
		role: 'analyst',
		summary: 'Forecasts against the bookings that came, by model and horizon: from <= as_of < to',
		query: accuracyQuery,
		answers: { 200: accuracyAnswer },
	},
	{
		method: 'get',
		path: '/api/v1/features/{region_id}',
		role: 'viewer',
		summary: 'The features of a region that the edge has',
		answers: { 200: featuresAnswer },
		problems: ['unknown_region'],
	},
	{
		method: 'get',
		path: '/api/v1/config-changes',
		role: 'viewer',
		summary: 'What authors and operators did, newest first',
		query: listQuery,
		answers: { 200: list(configChange) },
	},
	{ method: 'get', path: '/docs', role: null, summary: 'The API of all three doors, for reading', answers: { 200: 'text/html' } },
	{
		method: 'get',
		path: '/.well-known/jwks.json',
		role: null,
		summary: "The public keys of the clients' tokens",
		answers: { 200: z.looseObject({ keys: z.array(z.looseObject({})) }) },
	},
	...commonRoutes,
] as const satisfies Route[];

/** GET /internal/replay-decisions: ndjson, progress lines and a last line with `done`. Not in the public document. */
export const replayQuery = z.strictObject({ from: instant.optional(), to: instant.optional() });

/** Calls between our own processes. */
export const controlPlaneInternalRoutes = [
	{
		method: 'get',
		path: '/internal/replay-decisions',
		role: 'service',
		summary: 'Recomputes stored decisions',
		query: replayQuery,
		answers: { 200: 'application/x-ndjson' },
	},
] as const satisfies Route[];
