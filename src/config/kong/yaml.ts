/** kong.yml as text: parsed with the lines of its mistakes, and written. */
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml';
import { LineCounter, isMap, isScalar, parseDocument, stringify } from 'yaml';
import type { Document } from 'yaml';
import { errorTree, readDeclarative, writeDeclarative } from './declarative.ts';
import type { DocumentPath, EntityLists } from './declarative.ts';
import { errorLines } from './errors.ts';
import { isObject } from './schema.ts';
import type { Json, JsonObject } from './schema.ts';
import type { Environment } from './validate.ts';

/** A text that is no document of entities. */
export class YamlError extends Error {}

interface ParsedYaml {
  document: JsonObject;
  /** Line, from 1, of what a path leads to, or of what is nearest to it. */
  lineOf(path: DocumentPath): number;
}

/** Aliases in a document: more are a bomb rather than a shorthand. */
const MAX_ALIASES = 100_000;
/** Members that `<<` brings in, over the whole document. */
const MAX_MERGED = 1_000_000;

const SCHEMA = CORE_SCHEMA.withTags(mergeTag);

/**
 * YAML 1.2 with `<<`, and so JSON too.
 *
 * Values come from a parser that is quick; what it refuses, and the lines of what is wrong, are told by one that keeps its places.
 *
 * @throws {YamlError} with the line of the mistake
 */
export function parseYaml(text: string): ParsedYaml {
  const document = quickly(text) ?? placed(text).document;
  if (!isObject(document)) throw new YamlError('expected a map of lists of entities');
  let places: Placed | null = null;
  return {
    document,
    lineOf: (path) => {
      places ??= placed(text);
      return places.lines.linePos(offsetOf(places.parsed, path)).line;
    },
  };
}

/** Undefined: it is not good, or not for this parser. */
function quickly(text: string): Json | undefined {
  try {
    return (/^\s*\{/.test(text) ? JSON.parse(text) : load(text, LOADING)) as Json;
  } catch {
    return undefined;
  }
}

const LOADING = { schema: SCHEMA, maxAliases: MAX_ALIASES, maxTotalMergeKeys: MAX_MERGED };

interface Placed {
  document: Json;
  parsed: Document;
  lines: LineCounter;
}

/** @throws {YamlError} */
function placed(text: string): Placed {
  const lines = new LineCounter();
  const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const [error] = parsed.errors;
  if (error !== undefined) throw new YamlError(`${error.message} in line ${lines.linePos(error.pos[0]).line}`);
  try {
    return { document: parsed.toJS({ maxAliasCount: 1000 }) as Json, parsed, lines };
  } catch (thrown) {
    throw new YamlError((thrown as Error).message);
  }
}

function offsetOf(parsed: Document, path: DocumentPath): number {
  for (let length = path.length; length > 0; length--) {
    const [above, last] = [parsed.getIn(path.slice(0, length - 1), true), path[length - 1]];
    // The key stands where the value's line begins.
    const pair = isMap(above) ? above.items.find(({ key }) => isScalar(key) && key.value === last) : null;
    const node = (pair?.key ?? parsed.getIn(path.slice(0, length), true)) as {
      range?: [number, number, number];
    } | null;
    if (node?.range !== undefined) return node.range[0];
  }
  return 0;
}

/**
 * A file of entities.
 *
 * @throws {YamlError} all of its mistakes: `file:line: field: text`, one a line
 */
export function loadKongYaml(file: string, text: string, env: Environment): EntityLists {
  let parsed: ParsedYaml;
  try {
    parsed = parseYaml(text);
  } catch (error) {
    throw new YamlError(`${file}: ${(error as Error).message}`);
  }
  const { entities, errors } = readDeclarative(parsed.document, env);
  if (errors === null) return entities;
  throw new YamlError(
    errors
      .flatMap(({ path, error }) => {
        const tree = errorTree([{ path, error }]);
        const at = typeof error === 'object' && !Array.isArray(error) ? [...path, Object.keys(error)[0] ?? ''] : path;
        return errorLines(tree).map((line) => `${file}:${parsed.lineOf(at)}: ${line}`);
      })
      .join('\n'),
  );
}

export function writeKongYaml(entities: EntityLists): string {
  return stringify(writeDeclarative(entities), { lineWidth: 0, aliasDuplicateObjects: false });
}
