import { expect, test } from 'vitest';
import { Breaker } from './breaker.ts';

const open = () => new Breaker({ failures_max: 2, open_ms: 1000 });

test('lets everything through until so many calls failed in a row', () => {
	const breaker = open();
	for (let i = 0; i < 10; i++) {
		expect(breaker.enter(i)).toBe(true);
		breaker.failed(i);
		expect(breaker.open).toBe(false);
		breaker.succeeded();
	}
	breaker.failed(10);
	breaker.failed(10);
	expect([breaker.open, breaker.enter(10)]).toEqual([true, false]);
});

test('lets one probe through at a time once its time is over; a failed one keeps it open, a good one closes it', () => {
	const breaker = open();
	breaker.failed(0);
	breaker.failed(0);
	expect([breaker.enter(999), breaker.enter(1000), breaker.enter(1000), breaker.enter(5000)]).toEqual([false, true, false, false]);
	breaker.failed(5000);
	expect([breaker.enter(5999), breaker.enter(6000)]).toEqual([false, true]);
	breaker.succeeded();
	expect([breaker.open, breaker.enter(6000), breaker.enter(6000)]).toEqual([false, true, true]);
});
