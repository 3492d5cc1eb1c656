// A process that is a ClickHouse server: the library's command line blocks in one native call until stdin ends, which the death of the parent does too.
// node serve.mjs ROOT ARGUMENT...: ROOT has node_modules with ffi-rs and the library.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [root, ...rest] = process.argv.slice(2);
const { DataType, load, open } = createRequire(join(root, 'package.json'))('ffi-rs');
open({ library: 'chdb', path: join(root, 'node_modules/@chdb/lib-linux-x64-gnu/libchdb.so') });
const args = ['clickhouse', ...rest];
load({
	library: 'chdb',
	funcName: 'chdb_query_cmdline',
	retType: DataType.External,
	paramsType: [DataType.I32, DataType.StringArray],
	paramsValue: [args.length, args],
});
process.reallyExit(0); // the library's own threads would hold an ordinary exit
