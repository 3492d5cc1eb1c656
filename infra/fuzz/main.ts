// npm run fuzz -- [--seed N] [--requests N] [--door edge|control|ingest]: starts the product and fuzzes its doors from their own OpenAPI documents.
import { parseArgs } from 'node:util';
import type { PriceAnswer } from '#schemas/price.ts';
import { table } from '../bench/table.ts';
import { startInstance } from '../instance.ts';
import { fuzz } from './fuzz.ts';
import type { Door } from './operation.ts';

const DOORS: readonly Door[] = ['edge', 'control', 'ingest'];
const { values } = parseArgs({ options: { seed: { type: 'string' }, requests: { type: 'string' }, door: { type: 'string' } } });
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const requests = Number(values.requests ?? 10_000);
const doors = values.door === undefined ? DOORS : DOORS.filter((door) => door === values.door);
if (!Number.isInteger(seed) || !Number.isInteger(requests) || doors.length === 0) {
	console.error('npm run fuzz -- [--seed N] [--requests N] [--door edge|control|ingest]');
	process.exit(1);
}

const product = await startInstance();
const end = async (code: number): Promise<never> => {
	await product.stop();
	product.tidy();
	process.exit(code);
};
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void end(130));
const price = async (): Promise<Pick<PriceAnswer, 'price' | 'status'>> => {
	const { json } = await product.call('edge', 'POST', '/api/v1/price', { role: 'client', body: { region_id: 'sg-airport', product_type: 'standard_ride' } });
	return { price: json?.price, status: json?.status };
};
const before = await price();
console.log(
	`seed ${seed}, ${requests} requests; again with: npm run fuzz -- --seed ${seed} --requests ${requests}${values.door ? ` --door ${values.door}` : ''}`,
);
const started = performance.now();
let told = started;
const report = await fuzz(product, {
	seed,
	requests,
	doors,
	onProgress(done) {
		if (performance.now() - told < 5000) return;
		told = performance.now();
		console.log(`${done} of ${requests}, ${Math.round((told - started) / 1000)} s`);
	},
});
const after = await price();
const alive = product.child.exitCode === null;

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);
const header = ['door', 'call', 'requests', 'answered', 'refused', '503', 'cut'];
const rows = report.calls.map((one) => [
	one.door,
	`${one.method} ${one.path}`.padEnd(50),
	...[one.requests, one.answered, one.refused, sum(one.unavailable), one.cut].map(String),
]);
console.log(table([header, ...rows]));
const unavailable: Record<string, number> = {};
for (const call of report.calls) for (const [detail, count] of Object.entries(call.unavailable)) unavailable[detail] = (unavailable[detail] ?? 0) + count;
for (const [detail, count] of Object.entries(unavailable)) console.log(`503 x ${count}: ${detail}`);
for (const { number, request, what, answer } of report.findings) console.log(`\nrequest ${number}: ${request}\n  ${what.join('\n  ')}\n  ${answer}`);
const total = (read: (call: (typeof report.calls)[number]) => number) => report.calls.reduce((all, call) => all + read(call), 0);
const samePrice = before.price !== undefined && before.price === after.price && before.status === after.status;
const figures = {
	requests: total((call) => call.requests),
	answered: total((call) => call.answered),
	refused: total((call) => call.refused),
	unavailable: total((call) => sum(call.unavailable)),
	cut: total((call) => call.cut),
	findings: report.findings.length,
};
console.log(JSON.stringify({ seed, ...figures, price: { before, after }, alive, seconds: Math.round((performance.now() - started) / 1000) }));
await end(report.findings.length === 0 && samePrice && alive ? 0 : 1);
