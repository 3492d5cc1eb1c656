import { compileRuleSet } from '#models/pricing/compile-rule-set.ts';
import type { controlPlaneRoutes } from '#schemas/control-plane-routes.ts';
import { formatInstant } from '#schemas/instant.ts';
import { recordConfigChange } from '../database/config-changes.ts';
import { lockConfiguration } from '../database/database.ts';
import { insertRuleSet, listRuleSets, readRuleSet } from '../database/rule-sets.ts';
import { type Handlers, parseJson, type Refused } from '../door.ts';
import { jsonDifferences } from '../json-differences.ts';
import { numberedList } from './numbered-list.ts';
import { authorOf, numberOf, type Parts } from './parts.ts';

const unknown = (version: string): Refused => ({ code: 'not_found', detail: `There is no rule set of version ${JSON.stringify(version.slice(0, 40))}.` });

/** Rule sets as versions that never change, and their publication. */
export function ruleSetHandlers({ connection, publishing }: Parts) {
	const read = async (version: string) => {
		const number = numberOf(version);
		return number === null ? undefined : readRuleSet(connection, number);
	};

	return {
		'POST /api/v1/rule-sets': async (call) => {
			const json = parseJson(call.text);
			if (!json.ok) return json.refusal;
			const document = json.value;
			const compiled = compileRuleSet(document); // sees everything at once: shape, money, curves, conditions
			if (!compiled.ok) return { code: 'invalid', detail: 'The rule set is not good, and nothing was saved; see errors.', errors: compiled.errors };
			const { name } = compiled.ruleSet;
			const author = authorOf(call);
			const saved = await connection.transaction(async (transaction) => {
				await lockConfiguration(transaction);
				const row = await insertRuleSet(transaction, { name, document, at: author.at, who: author.who });
				await recordConfigChange(transaction, { ...author, from: null, to: { version: row.version, name, digest: row.digest } });
				return row;
			});
			return { status: 201, body: { version: saved.version, name } };
		},

		'GET /api/v1/rule-sets': ({ query }) => numberedList(query, (options) => listRuleSets(connection, options)),

		'GET /api/v1/rule-sets/{version}': async ({ params }) => {
			const row = await read(params.version);
			if (!row) return unknown(params.version);
			const { version, name, created_by } = row;
			return { status: 200, body: { version, name, created_at: formatInstant(row.created_at), created_by, document: JSON.parse(row.document) as unknown } };
		},

		'GET /api/v1/rule-sets/{a}/diff/{b}': async ({ params }) => {
			const [a, b] = [await read(params.a), await read(params.b)];
			if (!a) return unknown(params.a);
			if (!b) return unknown(params.b);
			return { status: 200, body: { changes: jsonDifferences(JSON.parse(a.document), JSON.parse(b.document)) } };
		},

		'POST /api/v1/rule-sets/{version}/publish': async (call) => {
			const version = numberOf(call.params.version);
			if (version === null) return unknown(call.params.version);
			const made = await publishing.publish(version, authorOf(call));
			return 'code' in made ? made : { status: 201, body: { release: made.release, rule_set: version } };
		},
	} satisfies Partial<Handlers<typeof controlPlaneRoutes>>;
}
