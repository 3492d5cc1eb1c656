// The rule of who may import whom, shown to bite: violations are planted in a copy of the rooms and each must be refused.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const RULE = 'noRestrictedImports';

const rooms = ['schemas', 'models', 'edge', 'control-plane', 'stream', 'infra'];
const mayImport: Record<string, string[]> = {
	schemas: [],
	models: ['schemas'],
	edge: ['schemas', 'models'],
	'control-plane': ['schemas', 'models'],
	stream: ['schemas', 'models', 'control-plane'],
};
const runtimes: Record<string, string[]> = {
	schemas: ['node:fs', 'cloudflare:workers'],
	models: ['node:fs', 'cloudflare:workers'],
	edge: ['node:fs'],
	'control-plane': ['cloudflare:workers'],
	stream: ['cloudflare:workers'],
};
const homes = [
	['kafkajs', 'stream/log', 'stream/features'],
	['drizzle-orm', 'control-plane/database', 'control-plane'],
	['onnxruntime-web/wasm', 'edge/shard', 'edge/price'],
	['node:sqlite', 'stream/log', 'control-plane'],
	['@clickhouse/client', 'stream/sinks', 'stream/log'],
	['@clickhouse/client', 'stream/sinks', 'control-plane'],
	['@clickhouse/client', 'stream/sinks', 'edge/price'],
	['@upstash/redis', 'stream/redis', 'stream/ingest'],
	['@upstash/redis/cloudflare', 'edge/shard', 'edge/price'],
] as const;

interface Planted {
	title: string;
	room: string;
	code: string;
	refused: boolean;
}
const planted: Planted[] = [
	...Object.entries(mayImport).flatMap(([room, may]) =>
		rooms
			.filter((other) => other !== room)
			.flatMap((other) => {
				const refused = !may.includes(other);
				const forms = [
					`import { a } from '#${other}/a.ts';\na;`,
					`import type { A } from '#${other}/a.ts';\nexport type B = A;`,
					`export const a = import('#${other}/a.ts');`,
				];
				// By a relative path an allowed room would be no violation of this rule, but nobody does it.
				if (refused) forms.push(`import { a } from '../${other}/a.ts';\na;`);
				return forms.map((code) => ({ title: `${refused ? 'never lets' : 'lets'} ${room} import ${other}: ${code.split('\n')[0]}`, room, code, refused }));
			}),
	),
	...Object.entries(runtimes).flatMap(([room, modules]) =>
		modules.map((module) => ({ title: `keeps ${module} out of ${room}`, room, code: `import * as a from '${module}';\nexport { a };`, refused: true })),
	),
	...homes.flatMap(([module, home, elsewhere]) => [
		{ title: `lets ${home} import ${module}`, room: home, code: `import * as a from '${module}';\nexport { a };`, refused: false },
		{ title: `never lets ${elsewhere} import ${module}`, room: elsewhere, code: `import * as a from '${module}';\nexport { a };`, refused: true },
	]),
];

describe('the import rule', () => {
	let copy = '';
	const refused = new Set<string>();
	beforeAll(() => {
		copy = mkdtempSync(join(tmpdir(), 'import-rule-'));
		copyFileSync(join(ROOT, 'biome.json'), join(copy, 'biome.json'));
		planted.forEach(({ room, code }, index) => {
			const file = join(copy, room, `planted-${index}.ts`);
			mkdirSync(dirname(file), { recursive: true });
			writeFileSync(file, `${code}\n`);
		});
		const ran = spawnSync(join(ROOT, 'node_modules/.bin/biome'), ['lint', '--reporter=github', '--max-diagnostics=none', '.'], {
			cwd: copy,
			encoding: 'utf8',
			maxBuffer: 1 << 26,
		});
		for (const [, rule, file] of (ran.stdout + ran.stderr).matchAll(/title=([\w/]+),file=([^,]+)/g))
			if (rule?.endsWith(RULE)) refused.add(file?.replace(/^\.\//, '') ?? '');
	});
	afterAll(() => rmSync(copy, { recursive: true, force: true }));
	planted.forEach(({ title, room, refused: wanted }, index) => {
		it(title, () => expect([...refused].some((file) => file.endsWith(`${room}/planted-${index}.ts`))).toBe(wanted));
	});
});

it('models/ compiles without any runtime: fetch, process, crypto, URL and console are type errors there', () => {
	const directory = mkdtempSync(join(tmpdir(), 'planted-'));
	try {
		writeFileSync(join(directory, 'planted.ts'), 'export const runtime = [fetch, process, crypto, URL, console];\n');
		const options = { composite: false, emitDeclarationOnly: false, noEmit: true, tsBuildInfoFile: null, rootDir: directory };
		writeFileSync(
			join(directory, 'tsconfig.json'),
			JSON.stringify({ extends: join(ROOT, 'models/tsconfig.json'), compilerOptions: options, include: ['*.ts'], references: [] }),
		);
		const ran = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', directory], { cwd: ROOT, encoding: 'utf8' });
		for (const name of ['fetch', 'process', 'crypto', 'URL', 'console']) expect(ran.stdout).toContain(`Cannot find name '${name}'`);
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
});
