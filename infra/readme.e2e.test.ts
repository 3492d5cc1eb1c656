// The README's commands, run as a new user would paste them.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Instance, startInstance } from './instance.ts';
import { until } from './until.ts';

const ROOT = resolve(import.meta.dirname, '..');
const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');

let product: Instance;
beforeAll(async () => {
	product = await startInstance();
}, 120_000);
afterAll(async () => {
	await product?.stop();
	product?.tidy();
});

it("runs the README's commands", async () => {
	const block = /<!-- executed by infra\/readme.e2e.test.ts -->\n```sh\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
	const { edge, control, ingest } = product.urls;
	const script = block.replaceAll('http://127.0.0.1:8787', edge).replaceAll('http://127.0.0.1:8788', control).replaceAll('http://127.0.0.1:8789', ingest);
	const [tokens = '', ...commands] = script.split(/\n\n(?=# )/);
	const run = (text: string) =>
		new Promise<string>((done, failed) => {
			const port = (url: string) => new URL(url).port;
			const child = spawn('sh', ['-e', '-c', text], {
				cwd: ROOT,
				env: { ...process.env, SURGECAST_DATA_DIR: product.directory, EDGE_PORT: port(edge), CONTROL_PLANE_PORT: port(control), INGEST_PORT: port(ingest) },
			});
			let output = '';
			for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
			child.once('exit', (code) => (code === 0 ? done(output) : failed(new Error(`exit ${code}: ${output}`))));
		});
	// In their order; a command whose effect takes a moment is asked again, as a person would.
	const wanted = [/"accepted":3/, /"status":"priced"/, /"horizons":\[/, /"items":\[\{/, /[1-9]\d* decisions compared, no difference/];
	expect(commands).toHaveLength(wanted.length);
	for (const [index, command] of commands.entries()) {
		const shows = async () => wanted[index]?.test(await run(`${tokens}\n${command}`));
		await until(`${command.slice(0, 60)} to show ${wanted[index]}`, shows, { within: 20_000, every: 300 });
	}
});

it('links to nothing that is not there', () => {
	for (const [, target = ''] of readme.matchAll(/\]\((?!http)([^)#]+)\)/g)) expect(() => readFileSync(join(ROOT, target)), target).not.toThrow(/ENOENT/);
});
