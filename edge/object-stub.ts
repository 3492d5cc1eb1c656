/**
 * A stub of the object with this name; for one request only. The hint counts when an object is first made: without it an object lives near whoever
 * asks first, so one central pusher would make all of them beside itself.
 */
export function objectStub<T extends Rpc.DurableObjectBranded>(
	namespace: DurableObjectNamespace<T>,
	name: string,
	env: { LOCATION_HINT?: string },
): DurableObjectStub<T> {
	return env.LOCATION_HINT ? namespace.getByName(name, { locationHint: env.LOCATION_HINT as DurableObjectLocationHint }) : namespace.getByName(name);
}
