import type { Connection } from '#control-plane/database/database.ts';
import { readCatalogue } from '#control-plane/database/regions.ts';
import { type Catalogue, openCatalogue } from './catalogue.ts';

/** The catalogue as the control plane's database has it: each reading asks for what changed since the one before. */
export function databaseCatalogue(connection: Connection): Catalogue {
	let change = 0;
	return openCatalogue(async () => {
		const read = await readCatalogue(connection, { after: change });
		change = read.change;
		return read.entries;
	});
}
