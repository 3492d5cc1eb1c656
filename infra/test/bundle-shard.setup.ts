// Vitest's global setup of the project edge/price: its objects live in the other script, which runs beside it as built.
import { bundle } from '../bundle.ts';

export default async function setup(): Promise<void> {
	await bundle('shard');
}
