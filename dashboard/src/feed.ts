/** The events of the server, and whether they come. */
import type { Frame } from '../../src/admin/dashboard/frame.ts';

/** `lost` since when, and when the next try is. */
export type Link = { state: 'opening' } | { state: 'live' } | { state: 'lost'; since: number; why: string };

/** Events come every second: that long without one means that the connection is dead, whatever the system thinks. */
const SILENCE_MS = 4500;
const AGAIN_MS = 1000;
const LONGEST_MS = 10_000;

export interface Listener {
  frame(frame: Frame): void;
  link(link: Link): void;
}

/** Follows the events for as long as the page is there. */
export function follow(listener: Listener): void {
  let source: EventSource | null = null;
  let lostSince = 0;
  let tries = 0;
  let silence = 0;

  const lost = (why: string): void => {
    source?.close();
    source = null;
    clearTimeout(silence);
    if (lostSince === 0) lostSince = Date.now();
    listener.link({ state: 'lost', since: lostSince, why });
    window.setTimeout(open, Math.min(AGAIN_MS * 1.5 ** tries++, LONGEST_MS));
  };

  const alive = (): void => {
    clearTimeout(silence);
    silence = window.setTimeout(() => lost('No news for some seconds.'), SILENCE_MS);
  };

  function open(): void {
    // Whatever else stands in the page's address is not the feed's business.
    source = new EventSource(`${location.pathname}?events`);
    alive();
    source.addEventListener('message', ({ data }: MessageEvent<string>) => {
      alive();
      const frame = JSON.parse(data) as Frame;
      if (lostSince !== 0 || tries > 0 || frame.full === true) listener.link({ state: 'live' });
      lostSince = 0;
      tries = 0;
      listener.frame(frame);
    });
    source.addEventListener('error', () => {
      // A reload of the configuration ends the stream: the next one is there at once, and that is no loss.
      if (tries === 0 && lostSince === 0) {
        source?.close();
        tries = 1;
        clearTimeout(silence);
        window.setTimeout(open, 50);
        return;
      }
      lost('The server does not answer.');
    });
  }
  open();
}
