/** The server's side of HTTP/2, loaded when a configuration first has it: every start would read its sources. */
import type { Http2Connection as Connection } from '../http/server/http2-connection.ts';
import type { ListenRuntime } from '../http/server/listen.ts';
import type { PrefaceReader as Reader } from '../http/server/preface.ts';

interface Http2 {
  Http2Connection: typeof Connection;
  PrefaceReader: typeof Reader;
}

/** Null: no address that is listened on speaks it. */
export let http2: Http2 | null = null;

export async function loadHttp2(listens: Iterable<ListenRuntime>): Promise<void> {
  if (http2 !== null) return;
  for (const { config, generation } of listens) {
    if (!config.http2 && !config.servers.some((i) => generation.servers[i]!.config.http2.on)) continue;
    const [{ Http2Connection }, { PrefaceReader }] = await Promise.all([
      import('../http/server/http2-connection.ts'),
      import('../http/server/preface.ts'),
    ]);
    http2 = { Http2Connection, PrefaceReader };
    return;
  }
}
