// npm run --silent token -- --role ROLE [--ttl SECONDS] [--subject NAME]: prints a token of the local issuer and nothing else.
import { parseArgs } from 'node:util';
import { limits } from '#schemas/limits.ts';
import { type Role, roles } from '#schemas/role.ts';
import { LOCAL_ISSUER, parseConfiguration } from './configuration.ts';
import { mintToken, openKeys } from './keys.ts';

const isRole = (text: string | undefined): text is Exclude<Role, 'service'> => (roles as readonly (string | undefined)[]).includes(text);

async function main(args: readonly string[]): Promise<string> {
	const { values } = parseArgs({ args: [...args], options: { role: { type: 'string' }, ttl: { type: 'string' }, subject: { type: 'string' } } });
	const { role, ttl = String(limits.token_ttl_seconds_default), subject } = values;
	if (!isRole(role))
		throw new Error(`Cannot make a token: --role is ${role === undefined ? 'missing' : JSON.stringify(role)}, wanted is one of ${roles.join(', ')}`);
	const seconds = /^\d{1,9}$/.test(ttl) ? Number(ttl) : 0;
	if (seconds < 1 || seconds > limits.token_ttl_seconds_max)
		throw new Error(`Cannot make a token: --ttl is ${JSON.stringify(ttl)}, wanted are whole seconds from 1 to ${limits.token_ttl_seconds_max}`);
	if (subject !== undefined && !/^[\x21-\x7e]{1,128}$/.test(subject))
		throw new Error(`Cannot make a token: --subject is ${JSON.stringify(subject)}, wanted are 1 to 128 printable characters without spaces`);
	const configuration = parseConfiguration(process.env);
	if (configuration.auth.issuer !== LOCAL_ISSUER)
		throw new Error(`Cannot make a token: AUTH_ISSUER is "${configuration.auth.issuer}", and tokens come from there; wanted is the local issuer`);
	const keys = openKeys(configuration.keysDir);
	return mintToken(keys, { role, subject: subject ?? `local-${role}`, ttl_seconds: seconds, audience: configuration.auth.audience });
}

try {
	console.log(await main(process.argv.slice(2)));
} catch (error) {
	console.error(error instanceof Error ? error.message : String(error));
	process.exitCode = 1;
}
