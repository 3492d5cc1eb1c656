/** The roles of tokens. `service` is between our own processes and is never made by `npm run token`. */
export const roles = ['client', 'producer', 'viewer', 'analyst', 'author', 'approver', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number] | 'service';

const ladder: readonly Role[] = ['viewer', 'analyst', 'author', 'operator', 'admin'];

/** Whether a token of this role may make a call that names `least`. On the ladder each has the rights of those before; approver has analyst's. */
export function mayCall(role: string, least: Role): boolean {
	const height = ladder.indexOf(least);
	return height < 0 ? role === least : ladder.indexOf(role === 'approver' ? 'analyst' : (role as Role)) >= height;
}
