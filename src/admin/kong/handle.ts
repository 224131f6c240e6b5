/** One request to its answer: finds the route, calls it, and gives every failure its form. */
import { KongError } from '../../config/kong/errors.ts';
import type { JsonObject } from '../../config/kong/schema.ts';
import { StaleWrite, StoreUnavailable } from '../../store/store.ts';
import { absentRoutes } from './absent.ts';
import { MAX_ARGUMENTS, contentKind } from './body.ts';
import { type Methods, type Routes, collectionRoutes } from './collections.ts';
import { configRoutes } from './config.ts';
import type { Api } from './context.ts';
import {
  type AdminAnswer,
  type AdminRequest,
  Halt,
  empty,
  errorAnswer,
  header,
  message,
  methodNotAllowed,
  notFound,
  readQuery,
} from './http.ts';
import { endpointsAnswer, nodeRoutes } from './node.ts';
import { openApiDocument } from './openapi.ts';
import { targetRoutes } from './targets.ts';

let document: JsonObject | null = null;

const ROUTES: Routes = [
  ...nodeRoutes(openApi),
  ...configRoutes,
  ...collectionRoutes(),
  ...targetRoutes(),
  ...absentRoutes(),
  ['/endpoints', { GET: () => endpointsAnswer(ROUTES.map(([path]) => path)) }],
];

/** The document of all routes, made when it is first asked for. */
export function openApi(): JsonObject {
  document ??= openApiDocument(ROUTES.map(([path, methods]) => [path, Object.keys(methods)]));
  return document;
}

interface Compiled {
  segments: readonly string[];
  methods: Methods;
}

const segmentsOf = (path: string): string[] => (path === '/' ? [] : path.slice(1).split('/'));
const isVariable = (segment: string): boolean => segment.startsWith('{');

/** Literal parts before variable ones, so that `/targets/all` is not a target. */
const COMPILED: readonly Compiled[] = ROUTES.map(([path, methods]) => ({ segments: segmentsOf(path), methods })).sort(
  (a, b) => a.segments.filter(isVariable).length - b.segments.filter(isVariable).length,
);

/** @param segments decoded */
function findRoute(segments: readonly string[]): { methods: Methods; params: Record<string, string> } | null {
  for (const route of COMPILED) {
    if (route.segments.length !== segments.length) continue;
    if (!route.segments.every((part, i) => isVariable(part) || part === segments[i])) continue;
    const params = route.segments.flatMap((part, i) =>
      isVariable(part) ? [[part.slice(1, -1), segments[i] ?? '']] : [],
    );
    return { methods: route.methods, params: Object.fromEntries(params) as Record<string, string> };
  }
  return null;
}

/** Null: no path that anything could have. */
function readPath(path: string): string[] | null {
  try {
    const segments = path.replace(/\/+$/, '').split('/').slice(1).map(decodeURIComponent);
    return segments.some((segment) => segment === '') ? null : segments;
  } catch {
    return null;
  }
}

function allowed(methods: Methods): string {
  const names = new Set([...Object.keys(methods), 'OPTIONS', ...('GET' in methods ? ['HEAD'] : [])]);
  return [...names].sort().join(', ');
}

/**
 * Answers one request. Never throws.
 *
 * @param request its body is complete
 */
export async function handle(api: Api, request: AdminRequest): Promise<AdminAnswer> {
  const answer = await answerTo(api, request).catch((error: unknown) => failure(api, error));
  const headers = { ...answer.headers, ...crossOrigin(api, request) };
  return { ...answer, headers, body: request.method === 'HEAD' ? null : answer.body };
}

async function answerTo(api: Api, request: AdminRequest): Promise<AdminAnswer> {
  const at = request.url.indexOf('?');
  const segments = readPath(at < 0 ? request.url : request.url.slice(0, at));
  const route = segments === null ? null : findRoute(segments);
  if (route === null) return notFound();
  const { methods, params } = route;
  if (request.method === 'OPTIONS') {
    const names = allowed(methods);
    return empty(204, {
      Allow: names,
      'Access-Control-Allow-Methods': names,
      'Access-Control-Allow-Headers': header(request, 'access-control-request-headers') ?? 'Content-Type',
    });
  }
  const handler = methods[request.method === 'HEAD' ? 'GET' : (request.method as keyof Methods)];
  if (handler === undefined || !Object.hasOwn(methods, request.method === 'HEAD' ? 'GET' : request.method)) {
    return methodNotAllowed();
  }
  const query = readQuery(at < 0 ? '' : request.url.slice(at + 1), MAX_ARGUMENTS);
  // What nobody can read is refused even where it would not be needed.
  contentKind(request, segments?.[0] === 'config');
  return handler({ api, request, params, query });
}

function failure(api: Api, error: unknown): AdminAnswer {
  if (error instanceof Halt) return error.answer;
  if (error instanceof KongError && error.status < 500) return errorAnswer(error);
  if (error instanceof StaleWrite) return message(503, 'Too many changes at once, try again');
  const text = error instanceof StoreUnavailable ? error.message : error instanceof Error ? error.stack : String(error);
  api.logError(`admin api: ${text ?? 'unknown error'}`);
  return message(500, 'An unexpected error occurred');
}

/** Who may read the answer in a browser: the page that asks, if it may ask at all (`guard.ts`). */
function crossOrigin(api: Api, request: AdminRequest): Record<string, string> {
  const origin = header(request, 'origin');
  const allow = api.origins.length > 0 && (origin === null || !api.origins.includes(origin)) ? api.origins[0] : origin;
  return {
    'Access-Control-Allow-Origin': allow ?? '*',
    'Access-Control-Allow-Credentials': 'true',
    ...(origin === null ? {} : { Vary: 'Origin' }),
  };
}
