/**
 * `npm run build`: `src/` as plain JavaScript in `dist/`, which is what the published package holds. (Node does not run
 * TypeScript that lies in node_modules.) A checkout runs it, too, as long as it is of the sources that are there.
 *
 * Some hundred files instead of many hundred: Node needs half a millisecond for each that a thread imports. What
 * is loaded when a configuration needs it stays apart.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { ChunkingContext } from 'rolldown';
import { isBuilt, type Manifest } from '../src/cli/built.ts';
import { builtName, ENTRIES } from '../src/place.ts';

const ROOT = join(import.meta.dirname, '..');
const OUT = join(ROOT, 'dist');

/** Replaces `dist/`. @throws when there is no bundler, or nothing can be written */
export async function build(): Promise<void> {
  const { rolldown } = await import('rolldown');
  // Read here, so that the copy is of what has been compiled, whatever is being edited meanwhile.
  const contents = new Map<string, Buffer>();
  const read = (file: string): string => {
    const content = readFileSync(join(ROOT, file));
    contents.set(file, content);
    return content.toString();
  };
  read('scripts/build.ts');

  const bundle = await rolldown({
    input: Object.fromEntries(
      ENTRIES.map((entry) => [builtName(entry).slice(0, -3), join(ROOT, 'src', `${entry}.ts`)]),
    ),
    platform: 'node',
    // Node's own modules and dependencies.
    external: /^[^./]/,
    // Modules do what they do when they are loaded, used or not.
    treeshake: false,
    preserveEntrySignatures: false,
    checks: { ineffectiveDynamicImport: false },
    plugins: [{ name: 'sources', load: (id) => read(relative(ROOT, id)) }],
  });
  const { output } = await bundle.generate({
    format: 'esm',
    codeSplitting: { includeDependenciesRecursively: false, groups: [{ debugName: 'starts', name: groups() }] },
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    sourcemap: true,
  });
  await bundle.close();

  const made = join(ROOT, `dist-${process.pid}`);
  const old = `${made}-old`;
  try {
    mkdirSync(made);
    for (const file of output) {
      const content = Buffer.from(file.type === 'chunk' ? file.code : file.source);
      writeFileSync(join(made, file.fileName), content);
      if (file.type === 'chunk') contents.set(`dist/${file.fileName}`, content);
    }
    const files = [...contents].map(([path, content]): [string, number] => [path, content.length]);
    writeFileSync(join(made, 'build.json'), JSON.stringify({ files } satisfies Manifest));
    writeFileSync(join(made, 'build.copy'), Buffer.concat([...contents.values()]));
    // A start that comes between the two runs the sources.
    rmSync(old, { recursive: true, force: true });
    try {
      renameSync(OUT, old);
    } catch {
      // The first build.
    }
    try {
      renameSync(made, OUT);
    } catch (error) {
      // Somebody else was quicker.
      if (!isBuilt(`${ROOT}/`)) throw error;
    }
  } finally {
    for (const directory of [made, old]) rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * What every start of a server reads, in one file for whom it is read by: the command line until it starts threads, then the main
 * thread, the workers, both of them. The rest is split by who imports it.
 */
function groups(): (module: string, graph: ChunkingContext) => string | null {
  let main: Set<string> | null = null;
  let worker = new Set<string>();
  let start = new Set<string>();
  return (module, graph) => {
    if (main === null) {
      start = closure(['cli/main', 'cli/serve'], graph);
      main = closure(['control/master', 'control/load-config', 'config/nginx/load'], graph);
      worker = closure(['worker/main'], graph);
    }
    if (graph.getModuleInfo(module)?.isEntry === true) return null;
    if (start.has(module)) return 'start';
    if (worker.has(module)) return main.has(module) ? 'threads' : 'worker';
    return main.has(module) ? 'main' : null;
  };
}

/** Modules that are loaded with these. */
function closure(files: readonly string[], graph: ChunkingContext): Set<string> {
  const all = new Set(files.map((file) => join(ROOT, 'src', `${file}.ts`)));
  for (const id of all) {
    for (const imported of graph.getModuleInfo(id)?.importedIds ?? []) if (imported.startsWith(ROOT)) all.add(imported);
  }
  return all;
}

/** Builds unless that is done already. */
export async function ensureBuilt(): Promise<void> {
  if (!isBuilt(`${ROOT}/`)) await build();
}

if (import.meta.main) await build();
