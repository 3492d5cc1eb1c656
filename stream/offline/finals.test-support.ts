import { parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { FEATURE_SET, featureNames } from '#schemas/feature.ts';
import { type DemandSignal, encodeSignal } from '../avro/codec.ts';
import type { Appended } from '../log/event-log.ts';
import type { FileStore } from './file-store.ts';
import { finalsFiles } from './finals-key.ts';

/** A final whose values can be told apart: the first two say which it is, the others are null or fractions. */
export function final(region_id: string, as_of: number, more: Partial<DemandSignal> = {}): DemandSignal {
	const values = featureNames.map((_, n) => (n === 0 ? as_of / 1000 : n === 1 ? region_id.length : n % 3 === 0 ? null : n / 7 + (as_of % 7)));
	return { region_id, kind: 'final', feature_set: FEATURE_SET, as_of, values, ...more };
}

export const record = (signal: DemandSignal, partition = 0): Appended => ({
	topic: 'demand-signals',
	partition,
	key: signal.region_id,
	value: encodeSignal(signal),
	timestamp: signal.as_of,
});

export type FinalRow = { region_id: string; as_of: Date } & Record<string, number | null | string | Date>;

/** The rows of a file, as any reader of Parquet sees them. */
export async function rowsOf(bytes: Uint8Array): Promise<FinalRow[]> {
	return (await parquetReadObjects({ file: new Uint8Array(bytes).buffer, compressors })) as FinalRow[];
}

export const rowOf = ({ region_id, as_of, values }: DemandSignal): FinalRow => ({
	region_id,
	as_of: new Date(as_of),
	...Object.fromEntries(featureNames.map((name, n) => [name, values[n] ?? null])),
});

/** Every file that is to be read, by its key. */
export async function filesOf(store: FileStore): Promise<Map<string, Uint8Array>> {
	const files = new Map<string, Uint8Array>();
	for (const { key } of finalsFiles(await store.list('finals/'))) files.set(key, new Uint8Array((await store.read(key))!));
	return files;
}
