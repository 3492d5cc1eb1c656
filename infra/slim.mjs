// After npm install: removes what this project never loads from two packages, 140 MB of 835. Plain JavaScript, since the installing Node may be 20.
//   node             its C headers and manual pages
//   onnxruntime-web  the builds for WebGPU, asyncify and JSPI: the Shard imports the plain SIMD build only
import { readdirSync, rmSync } from 'node:fs';

const remove = (path) => rmSync(path, { recursive: true, force: true });
const list = (path) => {
	try {
		return readdirSync(path);
	} catch {
		return []; // an optional package that this platform does not have
	}
};

for (const name of list('node_modules/node/node_modules')) for (const part of ['include', 'share']) remove(`node_modules/node/node_modules/${name}/${part}`);
for (const file of list('node_modules/onnxruntime-web/dist'))
	if (/\.(jsep|asyncify|jspi)\.wasm$|^(?!ort\.wasm).*\.map$/.test(file)) remove(`node_modules/onnxruntime-web/dist/${file}`);
