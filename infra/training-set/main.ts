// npm run training-set -- --labels FILE --as-of COLUMN: labels with the features that were known at their times, from the offline store.
import { parseArgs } from 'node:util';
import { parseConfiguration } from '#control-plane/configuration.ts';
import { makeTrainingSet } from './training-set.ts';

const HELP = `npm run training-set -- --labels FILE --as-of COLUMN [--out FILE] [--max-age MINUTES] [--data-dir DIR | --store URL]
Gives each label the newest final features of its region whose as_of is not after the label's time; nulls where there are none.

  --labels FILE       .csv or .parquet with the columns region_id, COLUMN and whatever is to be learned
  --as-of COLUMN      the time of a label: RFC 3339; UTC where it has no offset
  --out FILE          .parquet or .csv (training-set.parquet)
  --max-age MINUTES   older features count as none
  --data-dir DIR      the product's data directory, whose offline store is read (SURGECAST_DATA_DIR, else .surgecast)
  --store URL         the offline store itself (OFFLINE_STORE_URL): file:PATH or s3://bucket[/prefix][?endpoint=https://host:port&region=NAME],
                      with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY

Exit 0: made. 1: could not be made, and why.`;

const tell = (text: string): void => void (process.stderr.isTTY && process.stderr.write(`\r\u001b[K${text}`));

async function main(): Promise<void> {
	const { values } = parseArgs({
		options: {
			labels: { type: 'string' },
			'as-of': { type: 'string' },
			out: { type: 'string', default: 'training-set.parquet' },
			'max-age': { type: 'string' },
			'data-dir': { type: 'string' },
			store: { type: 'string' },
			help: { type: 'boolean', default: false },
		},
	});
	if (values.help) return console.log(HELP);
	const { labels, 'as-of': asOf, out, 'max-age': maxAge } = values;
	if (!labels || !asOf) throw new Error(`Cannot make a training set: --${labels ? 'as-of' : 'labels'} is missing\n\n${HELP}`);
	if (maxAge !== undefined && !/^\d{1,9}(\.\d+)?$/.test(maxAge)) throw new Error(`Cannot make a training set: --max-age is "${maxAge}", wanted are minutes`);
	if (values['data-dir'] !== undefined && values.store !== undefined)
		throw new Error('Cannot make a training set: --data-dir and --store, wanted is one of them');
	const { offlineStore } = parseConfiguration({
		...process.env,
		...(values['data-dir'] === undefined ? {} : { SURGECAST_DATA_DIR: values['data-dir'], OFFLINE_STORE_URL: undefined }),
		...(values.store === undefined ? {} : { OFFLINE_STORE_URL: values.store }),
	});
	const started = performance.now();
	const made = await makeTrainingSet({ labels, asOf, out, store: offlineStore, maxAgeMinutes: maxAge === undefined ? null : Number(maxAge), onProgress: tell });
	tell('');
	const seconds = ((performance.now() - started) / 1000).toFixed(1);
	console.log(
		`${out}: ${made.rows} labels, ${made.matched} with features, ${made.rows - made.matched} without; from ${made.finals} finals in ${made.files} files, ${seconds} s`,
	);
}

try {
	await main();
} catch (error) {
	tell('');
	console.error(error instanceof Error ? error.message : String(error));
	process.exit(1);
}
