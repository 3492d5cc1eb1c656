/** The rule sets of the sample, as an author would send them. `city` is the contract's own example. */
export const sampleRuleSets = [
	{
		name: 'city',
		currency: 'SGD',
		products: { standard_ride: { base_price: '12.00', per_km: '0', minimum: '6.00', regions: { 'sg-airport': { base_price: '14.00' } } } },
		surge: {
			min_multiplier: 1.0,
			max_multiplier: 3.0,
			horizon_minutes: 15,
			demand_curve: [
				[0, -0.1],
				[0.5, 0],
				[0.87, 0.45],
				[1, 0.9],
			],
			supply_curve: [
				[0, 0.3],
				[0.5, 0],
				[0.6, -0.12],
				[1, -0.2],
			],
		},
		adjustments: [
			{
				id: 'airport-calm',
				when: "region.id == 'sg-central' && features.booking_count_5min < 500",
				then: { add_multiplier: -0.02 },
				priority: 10,
				active_from: null,
				active_to: null,
			},
		],
		rounding: { step: '0.05', mode: 'up' },
		validity_seconds: 120,
		staleness: { fresh_seconds: 120, stale_seconds: 600 },
	},
	{
		name: 'nyc',
		currency: 'USD',
		products: {
			standard_ride: {
				base_price: '7.00',
				per_km: '1.85',
				minimum: '8.00',
				regions: { 'nyc-132': { base_price: '12.00' }, 'nyc-138': { base_price: '10.00' } },
			},
			shared_ride: { base_price: '5.00', per_km: '1.25', minimum: '5.00' },
		},
		surge: {
			min_multiplier: 0.9,
			max_multiplier: 3.0,
			horizon_minutes: 15,
			// About 1 at the usual demand, steep where it is beyond what chance brings.
			demand_curve: [
				[0, -0.1],
				[0.5, 0],
				[0.55, 0.05],
				[0.67, 0.4],
				[0.8, 1],
				[1, 2],
			],
			supply_curve: [
				[0, 0.5],
				[0.3, 0.15],
				[0.5, 0],
				[0.75, 0],
				[1, -0.1],
			],
		},
		adjustments: [
			// Rain keeps drivers at home: the price may rise with demand, but never beyond double while it pours.
			{ id: 'rain-cap', when: 'features.precipitation_mm_h > 4', then: { cap_multiplier: 2 }, priority: 20 },
			{ id: 'airport-fee', when: "region.id in ['nyc-132', 'nyc-138']", then: { add_price: '2.50' }, priority: 30 },
		],
		rounding: { step: '0.10', mode: 'half_up' },
		validity_seconds: 120,
		staleness: { fresh_seconds: 120, stale_seconds: 600 },
	},
];
