/** Raised whenever `decide` changes its behaviour: stored decisions are replayed by the revision that made them. */
export const pricingVersion = 1;
