/** The same configurations and requests in nginx and in Headrace: what goes to backends and comes back. */
import { compare } from './compare.ts';
import { PROXYING } from './proxying.ts';

for (const configuration of PROXYING) compare(configuration);
