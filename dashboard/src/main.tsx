/** The page: what is wrong, the whole in numbers, and then groups, zones, the process. */
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { follow, type Link } from './feed.ts';
import { clockTime, count, span } from './format.ts';
import { Mark } from './icons.tsx';
import type { Group, Peer } from './model/group.ts';
import { Model } from './model.ts';
import { allProblems } from './problems.ts';
import './style.css';
import { AddDialog } from './views/add.tsx';
import { Attention } from './views/attention.tsx';
import { Groups, type View } from './views/groups.tsx';
import { Overview } from './views/overview.tsx';
import { Process } from './views/process.tsx';
import { ServerDialog } from './views/server.tsx';
import { Zones } from './views/zones.tsx';

const TABS = ['groups', 'zones', 'process'] as const;
type Tab = (typeof TABS)[number];

const SAID_MS = 6000;

function tabOf(): Tab {
  const name = location.hash.slice(1);
  return TABS.find((tab) => tab === name) ?? 'groups';
}

type Over = { kind: 'server'; group: Group; peer: Peer } | { kind: 'add'; group: Group };

function App() {
  const [model] = useState(() => new Model());
  const [, setFrames] = useState(0);
  const [link, setLink] = useState<Link>({ state: 'opening' });
  const [tab, setTab] = useState(tabOf);
  const [over, setOver] = useState<Over | null>(null);
  const [said, setSaid] = useState('');
  const [view, setView] = useState<View>({ search: '', filter: 'all', order: 'problems', open: new Map() });
  const timer = useRef(0);
  const change = (part: Partial<View>): void => setView((before) => ({ ...before, ...part }));

  useEffect(() => {
    follow({
      frame: (frame) => {
        model.take(frame);
        setFrames((n) => n + 1);
      },
      link: setLink,
    });
    const onHash = (): void => setTab(tabOf());
    addEventListener('hashchange', onHash);
    return () => removeEventListener('hashchange', onHash);
  }, []);

  const problems = allProblems(model);
  const wrong = problems.filter(({ severity }) => severity !== 'note').length;
  useEffect(() => {
    const name = model.node === null ? 'Headrace' : `Headrace on ${model.node.host}`;
    document.title = link.state === 'lost' ? `(?) ${name}` : wrong > 0 ? `(${wrong}) ${name}` : name;
  }, [wrong, link.state, model.node]);

  const say = (text: string): void => {
    clearTimeout(timer.current);
    setSaid(text);
    timer.current = window.setTimeout(() => setSaid(''), SAID_MS);
  };
  const show = (group: Group): void => {
    location.hash = '#groups';
    change({ open: new Map(view.open).set(group.key, true), search: '', filter: 'all' });
    // Once it is there.
    setTimeout(() => {
      const row = document.getElementById(`group-${group.key.replaceAll(/[^\w-]/g, '-')}`);
      row?.scrollIntoView({ block: 'start', behavior: calmMotion() });
      row?.querySelector<HTMLElement>('.group-toggle')?.focus({ preventScroll: true });
    }, 50);
  };

  return (
    <div class={link.state === 'lost' ? 'app stale' : 'app'}>
      <header class="top">
        <h1>
          <Mark /> Headrace
        </h1>
        {model.node !== null && (
          <span class="where">
            {model.node.host}
            <span class="muted"> up {span(model.now - model.node.startedAt)}</span>
          </span>
        )}
        <nav aria-label="Parts">
          {TABS.map((name) => (
            <a key={name} href={`#${name}`} aria-current={tab === name ? 'page' : undefined}>
              {TITLES[name]} <span class="muted">{tally(model, name)}</span>
            </a>
          ))}
        </nav>
        <Status link={link} write={model.write !== null} />
      </header>
      {link.state === 'lost' && <Lost link={link} now={model.now} />}
      {model.node === null ? (
        <main class="starting">{link.state === 'lost' ? '' : 'Asking for the state of things …'}</main>
      ) : (
        <main>
          <Attention
            model={model}
            problems={problems}
            onShow={show}
            onAll={() => change({ filter: 'problems', search: '' })}
          />
          <Overview model={model} />
          {tab === 'groups' && (
            <Groups
              model={model}
              view={view}
              onView={change}
              onServer={(group, peer) => setOver({ kind: 'server', group, peer })}
              onAdd={(group) => setOver({ kind: 'add', group })}
              onSay={say}
            />
          )}
          {tab === 'zones' && <Zones model={model} />}
          {tab === 'process' && <Process model={model} />}
        </main>
      )}
      {over?.kind === 'server' && (
        <ServerDialog
          key={`${over.group.key} ${over.peer.id}`}
          model={model}
          group={over.group}
          peer={over.peer}
          onSay={say}
          onClose={() => setOver(null)}
        />
      )}
      {over?.kind === 'add' && <AddDialog model={model} group={over.group} onSay={say} onClose={() => setOver(null)} />}
      <p class={said === '' ? 'said' : 'said shown'} role="status">
        {said}
      </p>
    </div>
  );
}

const TITLES: Readonly<Record<Tab, string>> = { groups: 'Groups', zones: 'Zones', process: 'Process' };

function tally(model: Model, tab: Tab): string {
  if (model.node === null || tab === 'process') return '';
  return count(tab === 'groups' ? model.groups.size : model.zones.size + model.counted.size);
}

const calmMotion = (): ScrollBehavior => (matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth');

function Status({ link, write }: { link: Link; write: boolean }) {
  const text = { opening: 'Connecting', live: 'Live', lost: 'Disconnected' }[link.state];
  return (
    <p class={`link-state ${link.state}`} role="status">
      <i aria-hidden="true" />
      {text}
      {link.state === 'live' && !write && <span class="muted"> read-only</span>}
    </p>
  );
}

function Lost({ link, now }: { link: Link & { state: 'lost' }; now: number }) {
  return (
    <div class="lost-banner" role="alert">
      <strong>The connection is lost.</strong> {link.why} {now > 0 && `What you see is of ${clockTime(now)}. `}
      Trying again …
    </div>
  );
}

const root = document.getElementById('page');
if (root !== null) {
  root.replaceChildren();
  render(<App />, root);
}
