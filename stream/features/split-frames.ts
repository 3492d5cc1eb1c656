import type { Frame } from '#schemas/internal.ts';
import { limits } from '#schemas/limits.ts';

/** Regions in portions that a frame may carry: at most 200 of them and 200 KiB of JSON. One portion at least, so that an empty frame still confirms. */
export function splitFrames(regions: Frame['regions']): Frame['regions'][] {
	const portions: Frame['regions'][] = [[]];
	let bytes = 0;
	for (const region of regions) {
		const size = JSON.stringify(region).length + 1; // with its comma; ASCII: ids and numbers only
		const portion = portions.at(-1)!;
		if (portion.length > 0 && (portion.length >= limits.frame_regions_max || bytes + size > limits.frame_bytes_max - limits.frame_envelope_bytes_max)) {
			portions.push([region]);
			bytes = size;
		} else {
			portion.push(region);
			bytes += size;
		}
	}
	return portions;
}
