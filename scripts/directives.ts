/**
 * `npm run docs`: writes docs/directives.md from the tables that the parser works with, so that it cannot be wrong.
 * test/repository.test.ts checks that it is current.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, loadNginxConfig } from '../src/config/nginx/load.ts';
import { ANYWHERE, Args, Context } from '../src/config/nginx/context.ts';
import type { Directive } from '../src/config/nginx/directive.ts';
import { MODULES } from '../src/config/nginx/registry.ts';

const FILE = join(import.meta.dirname, '../docs/directives.md');

/** Names of blocks, as nginx's documentation writes them. */
const PLACES: Readonly<Record<keyof typeof Context, string>> = {
  main: 'main',
  events: 'events',
  http: 'http',
  server: 'server',
  location: 'location',
  ifInServer: 'if in server',
  ifInLocation: 'if in location',
  limitExcept: 'limit_except',
  upstream: 'upstream',
  stream: 'stream',
  streamServer: 'stream server',
  streamUpstream: 'stream upstream',
  admin: 'admin',
};

function places(contexts: number): string {
  if (contexts === ANYWHERE) return 'anywhere';
  return (Object.keys(Context) as (keyof typeof Context)[])
    .filter((key) => (contexts & Context[key]) !== 0)
    .map((key) => PLACES[key])
    .join(', ');
}

/** `1`, `0 to 2`, `1 or more`. */
function count(mask: number): string {
  if ((mask & Args.oneOrMore) !== 0) return '1 or more';
  if ((mask & Args.twoOrMore) !== 0) return '2 or more';
  const counts = Array.from({ length: 8 }, (_, i) => i).filter((i) => (mask & (1 << i)) !== 0);
  const [low = 0] = counts;
  const high = counts.at(-1) ?? 0;
  if (low === high) return String(low);
  return counts.length === high - low + 1 ? `${low} to ${high}` : counts.join(', ');
}

/** A configuration in which a directive stands, with the value `on`, in the first block that it may stand in. */
function sample({ name, contexts }: Directive): string {
  const line = `${name} on;`;
  const within = (context: number): boolean => (contexts & context) !== 0;
  const main = within(Context.main) ? line : '';
  const events = within(Context.events) ? line : '';
  const http = within(Context.http) ? line : '';
  const server = within(Context.server) && http === '' ? line : '';
  return `${main}\nevents { ${events} }\nhttp { ${http}\nserver { listen 127.0.0.1:8099; ${server} } }\n`;
}

/** What becomes of a directive that is accepted for the sake of configurations that have it: asks the parser. */
async function fate(directive: Directive): Promise<string> {
  try {
    const { warnings } = await loadNginxConfig({
      prefix: '/nowhere',
      file: 'nginx.conf',
      cpuCount: 1,
      superUser: false,
      lookup: () => [],
      readFile: () => sample(directive),
      glob: () => [],
    });
    const texts = warnings.map(({ message }) => message).join('\n');
    if (texts.includes('not supported')) return '`on` is ignored with a warning';
    if (texts.includes('obsolete')) return 'obsolete: ignored with a warning';
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (error.message.includes('is not supported')) return '`on` is refused';
  }
  return 'checked, then ignored';
}

/** The whole page. */
export async function directivesPage(): Promise<string> {
  const works: string[] = [];
  const ignored: string[] = [];
  let built = 0;
  for (const { name: module, directives } of MODULES) {
    if (directives.length === 0) continue;
    const sorted = [...directives].sort((a, b) => (a.name < b.name ? -1 : 1));
    if (module === 'accepted') {
      for (const one of sorted) ignored.push(`| \`${one.name}\` | ${places(one.contexts)} | ${await fate(one)} |`);
      continue;
    }
    built += new Set(sorted.map(({ name }) => name)).size;
    works.push(`### ${module}`, '', '| directive | in | arguments |', '| --- | --- | --- |');
    for (const one of sorted) {
      const name = one.block === true ? `${one.name} … { }` : one.name;
      works.push(`| \`${name}\` | ${places(one.contexts)} | ${count(one.args)} |`);
    }
    works.push('');
  }
  return `# Directives

Written by \`npm run docs\` from the tables of the parser (\`src/config/nginx/modules/\`): what is not here is an unknown
directive, and a configuration with it is refused with the nearest known name. What each one means, and its default, is in
[nginx's documentation](https://nginx.org/en/docs/dirindex.html); where Headrace differs, in
[configuration.md](configuration.md).

## Built: ${built}

${works.join('\n')}
## Accepted, without effect: ${ignored.length}

They tune machinery of nginx that is not here, or belong to something that is not built yet. Their values are checked as nginx
checks them.

| directive | in | what becomes of it |
| --- | --- | --- |
${ignored.join('\n')}
`;
}

if (import.meta.main) {
  writeFileSync(FILE, await directivesPage());
  console.log('docs/directives.md is written');
}
