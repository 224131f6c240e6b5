/**
 * What `bin/headrace` runs in a checkout: `dist/` if it was made of these very sources, else the sources.
 * HEADRACE_SOURCES=1: the sources in any case, for who wants to see them in a profile or a debugger.
 */
import { fileURLToPath } from 'node:url';
import { isBuilt } from './built.ts';

const root = new URL('../../', import.meta.url);
const built = process.env['HEADRACE_SOURCES'] !== '1' && isBuilt(fileURLToPath(root));
await import(new URL(built ? 'dist/cli-main.js' : 'src/cli/main.ts', root).href);
