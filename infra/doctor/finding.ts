/** What one check of the doctor found: in words, and what to do where something is wrong. */
export interface Finding {
	/** `wrong`: the product does not work, or not as promised. `doubtful`: it works, but somebody should look. */
	state: 'ok' | 'doubtful' | 'wrong';
	what: string;
	says: string;
	/** What to do, unless all is well. */
	advice?: string;
}

export const ok = (what: string, says: string): Finding => ({ state: 'ok', what, says });
export const doubtful = (what: string, says: string, advice: string): Finding => ({ state: 'doubtful', what, says, advice });
export const wrong = (what: string, says: string, advice: string): Finding => ({ state: 'wrong', what, says, advice });
