/** The same configurations and requests in nginx and in Headrace: what they serve by themselves. */
import { compare } from './compare.ts';
import { SERVING } from './serving.ts';

for (const configuration of SERVING) compare(configuration);
