// W3C Trace Context, the part that every hop needs.

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;

/** The trace id of a traceparent header, or undefined when the header is absent or broken (then the receiver makes one of its own). */
export function traceIdOf(header: string | null | undefined): string | undefined {
	const match = header ? TRACEPARENT.exec(header) : null;
	return match && !/^0+$/.test(match[1]!) && !/^0+$/.test(match[2]!) ? match[1] : undefined;
}
