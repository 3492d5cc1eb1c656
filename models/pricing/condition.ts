import type { ASTNode } from '@marcbachmann/cel-js';
import type { ConditionContext } from './condition-context.ts';
import { type ConditionRefusal, parseCondition, readOf } from './condition-parser.ts';
import type { Read } from './condition-paths.ts';

/** A compiled condition. */
export interface Condition {
	/**
	 * true, false, or undefined for CEL's error: something is missing or of another type. Errors are values here and not exceptions, which would cost
	 * 17 us each. As in CEL, || and && hold or fail by one side when the other is an error.
	 */
	evaluate(context: ConditionContext): boolean | undefined;
	/** Whether a feature or the forecast that it mentions is missing. */
	lacksData(context: ConditionContext): boolean;
}

/** Compiles a condition to closures (Workers allow no code generation). Refuses with a message and a position; never throws on text. */
export function condition(text: string): { ok: true; condition: Condition } | { ok: false; refusal: ConditionRefusal } {
	const parsed = parseCondition(text);
	if (!parsed.ok) return parsed;
	const perishable = new Set<Read>();
	const read = closure(parsed.program.ast, perishable);
	const mentioned = [...perishable];
	return {
		ok: true,
		condition: {
			evaluate(context) {
				const value = read(context);
				return typeof value === 'boolean' ? value : undefined;
			},
			lacksData: (context) => mentioned.some((one) => one(context) === undefined),
		},
	};
}

/** The parser has let only these kinds of node through; another one here is a bug. */
function closure(node: ASTNode, perishable: Set<Read>): Read {
	const inner = (one: ASTNode): Read => closure(one, perishable);
	switch (node.op) {
		case 'value': {
			const value = node.args as number | string | boolean;
			return () => value;
		}
		case '.':
		case '[]': {
			const { read, path } = readOf(node)!;
			if (path?.perishable) perishable.add(read);
			return read;
		}
		case '||':
			return decided(chain(node, '||').map(inner), true);
		case '&&':
			return decided(chain(node, '&&').map(inner), false);
		case '?:': {
			const [test, yes, no] = [inner(node.args[0]), inner(node.args[1]), inner(node.args[2])];
			return (context) => {
				const value = test(context);
				return value === true ? yes(context) : value === false ? no(context) : undefined;
			};
		}
		case '!_': {
			const of = inner(node.args);
			return (context) => {
				const value = of(context);
				return typeof value === 'boolean' ? !value : undefined;
			};
		}
		case '-_': {
			const of = inner(node.args);
			return (context) => {
				const value = of(context);
				return typeof value === 'number' ? -value : undefined;
			};
		}
		case 'call': {
			const of = inner(node.args[1][0]!);
			return (context) => of(context) !== undefined;
		}
		case 'rcall':
			return method(node.args[0], { text: inner(node.args[1]), argument: inner(node.args[2][0]!) });
		case 'in':
			return membership(inner(node.args[0]), (node.args[1].args as ASTNode[]).map(inner));
		case '==':
		case '!=':
			return equality(inner(node.args[0]), inner(node.args[1]), node.op === '==');
		case '<':
		case '<=':
		case '>':
		case '>=':
			return comparison(node.op, inner(node.args[0]), inner(node.args[1]));
		case '+':
		case '-':
		case '*':
		case '/':
			return arithmetic(node.op, inner(node.args[0]), inner(node.args[1]));
		default:
			throw new Error(`condition() met ${node.op}, which parseCondition() should have refused`);
	}
}

/** The operands of a chain of one operator, which the parser nests to the left. */
function chain(node: ASTNode, op: '||' | '&&'): ASTNode[] {
	const operands: ASTNode[] = [];
	let at = node;
	while (at.op === op) {
		operands.push(at.args[1]);
		at = at.args[0];
	}
	operands.push(at);
	return operands.reverse();
}

/** || (decided by true) or && (decided by false): one deciding operand decides, else one error is the error of the whole. */
function decided(operands: readonly Read[], by: boolean): Read {
	return (context) => {
		let error = false;
		for (const operand of operands) {
			const value = operand(context);
			if (value === by) return by;
			if (value !== !by) error = true;
		}
		return error ? undefined : !by;
	};
}

/** Values of different types are unequal, as in CEL. */
function equality(left: Read, right: Read, equal: boolean): Read {
	return (context) => {
		const a = left(context);
		const b = right(context);
		return a === undefined || b === undefined ? undefined : (a === b) === equal;
	};
}

function membership(left: Read, list: readonly Read[]): Read {
	return (context) => {
		const value = left(context);
		if (value === undefined) return undefined;
		let found = false;
		for (const element of list) {
			const one = element(context);
			if (one === undefined) return undefined;
			if (one === value) found = true;
		}
		return found;
	};
}

function comparison(op: '<' | '<=' | '>' | '>=', left: Read, right: Read): Read {
	return (context) => {
		const a = left(context);
		const b = right(context);
		if (a === undefined || b === undefined || typeof a !== typeof b) return undefined;
		switch (op) {
			case '<':
				return a < b;
			case '<=':
				return a <= b;
			case '>':
				return a > b;
			case '>=':
				return a >= b;
		}
	};
}

function arithmetic(op: '+' | '-' | '*' | '/', left: Read, right: Read): Read {
	return (context) => {
		const a = left(context);
		const b = right(context);
		if (typeof a === 'string' && typeof b === 'string' && op === '+') return a + b;
		if (typeof a !== 'number' || typeof b !== 'number') return undefined;
		switch (op) {
			case '+':
				return a + b;
			case '-':
				return a - b;
			case '*':
				return a * b;
			case '/':
				return a / b;
		}
	};
}

function method(name: string, { text, argument }: { text: Read; argument: Read }): Read {
	return (context) => {
		const a = text(context);
		const b = argument(context);
		if (typeof a !== 'string' || typeof b !== 'string') return undefined;
		return name === 'startsWith' ? a.startsWith(b) : name === 'endsWith' ? a.endsWith(b) : a.includes(b);
	};
}
