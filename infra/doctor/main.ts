// npm run doctor: is this machine fit, is the installation whole, is the data sound, and what do the doors say? Changes nothing.
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ConfigurationError, parseConfiguration } from '#control-plane/configuration.ts';
import { dataDirectoryHolder } from '../lock.ts';
import { dataDirectoryFindings } from './data-directory.ts';
import { doorFindings } from './doors.ts';
import { type Finding, ok, wrong } from './finding.ts';
import { installationFindings } from './installation.ts';
import { machineFindings } from './machine.ts';
import { serverFindings } from './servers.ts';

const HELP = `npm run doctor             checks machine, installation, configuration, data, servers and doors; says what is wrong and what to do
npm run doctor -- --deep    the same, and recomputes the checksum of every record of the log
npm run doctor -- --json    findings as JSON lines

It changes nothing and may run beside the product. Exit code: 0 all well or doubtful, 1 something is wrong.
Environment: that of npm start (README.md).`;

const { values } = parseArgs({ options: { deep: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean' } } });
if (values.help) {
	console.log(HELP);
	process.exit(0);
}

let wrongs = 0;
function tell(findings: Finding[]): void {
	for (const finding of findings) {
		if (finding.state === 'wrong') wrongs++;
		if (values.json) console.log(JSON.stringify(finding));
		else console.log(`${finding.state.padEnd(9)} ${finding.what.padEnd(15)} ${finding.says}${finding.advice ? `\n${' '.repeat(26)}-> ${finding.advice}` : ''}`);
	}
}

tell(installationFindings(resolve(import.meta.dirname, '../..')));
try {
	const configuration = parseConfiguration(process.env);
	tell([ok('configuration', `data in ${configuration.dataDir}`)]);
	tell(machineFindings(configuration.dataDir));
	const holder = dataDirectoryHolder(configuration.dataDir);
	tell([ok('product', holder === null ? 'does not run on this data directory' : `runs as process ${holder}`)]);
	tell(dataDirectoryFindings(configuration, { deep: values.deep ?? false, now: Date.now() }));
	tell(await serverFindings(configuration));
	tell(await doorFindings(configuration, { holder }));
} catch (error) {
	if (!(error instanceof ConfigurationError)) throw error;
	tell([wrong('configuration', error.message, 'set each as it is wanted, or unset it')]);
}
if (!values.json) console.log(wrongs === 0 ? '\nNothing is wrong.' : `\n${wrongs} ${wrongs === 1 ? 'thing is' : 'things are'} wrong.`);
process.exit(wrongs === 0 ? 0 : 1);
