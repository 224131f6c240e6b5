/** Groups: found by name, the worst first; each opens to its servers. */
import { useEffect, useRef } from 'preact/hooks';
import { count, many, rate } from '../format.ts';
import type { Group, Peer } from '../model/group.ts';
import type { Model } from '../model.ts';
import { calm } from '../series.ts';
import { type Problem, problemsOf, type Severity, worst } from '../problems.ts';
import { GroupRow } from './group-row.tsx';

export type Filter = 'all' | 'problems';
export type Order = 'problems' | 'name' | 'busy';

export interface View {
  search: string;
  filter: Filter;
  order: Order;
  /** Groups that were opened or closed by hand. */
  open: ReadonlyMap<string, boolean>;
}

interface GroupsProps {
  model: Model;
  view: View;
  onView: (change: Partial<View>) => void;
  onServer: (group: Group, peer: Peer) => void;
  onAdd: (group: Group) => void;
  onSay: (text: string) => void;
}

const RANK: Record<Severity, number> = { critical: 0, warning: 1, note: 2 };
/** So few groups are open from the start; of more, those with problems. */
const FEW = 3;
const OPEN_BY_ITSELF = 5;
/** More than that stand closer together. */
const DENSE = 15;

interface Row {
  group: Group;
  problems: Problem[];
}

function matches({ info }: Group, words: readonly string[]): boolean {
  const text = [info.name, info.door, info.method, ...info.peers.flatMap(({ address, name }) => [address, name])]
    .join(' ')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

function rank({ problems }: Row): number {
  const severity = worst(problems);
  return severity === null ? 3 : RANK[severity];
}

function sorted(rows: Row[], order: Order): Row[] {
  const byName = (a: Row, b: Row): number => a.group.info.name.localeCompare(b.group.info.name);
  switch (order) {
    case 'name':
      return rows.sort(byName);
    case 'busy':
      return rows.sort((a, b) => calm(b.group.rps) - calm(a.group.rps) || byName(a, b));
    default:
      return rows.sort((a, b) => rank(a) - rank(b) || byName(a, b));
  }
}

/** Arrow keys go from group to group. */
function step(event: KeyboardEvent): void {
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const heads = [...document.querySelectorAll<HTMLElement>('.group-toggle')];
  const at = heads.indexOf(document.activeElement as HTMLElement);
  if (at < 0) return;
  event.preventDefault();
  heads[at + (event.key === 'ArrowDown' ? 1 : -1)]?.focus();
}

export function Groups({ model, view, onView, onServer, onAdd, onSay }: GroupsProps) {
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const { target } = event;
      const typing = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
      if (event.key !== '/' || typing || document.querySelector('dialog[open]') !== null) return;
      event.preventDefault();
      search.current?.focus();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);

  const words = view.search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '');
  const all = [...model.groups.values()].map((group): Row => ({ group, problems: problemsOf(group) }));
  const troubled = all.filter((row) => rank(row) < 2).length;
  const shown = sorted(
    all.filter((row) => matches(row.group, words) && (view.filter === 'all' || rank(row) < 3)),
    view.order,
  );
  let byItself = 0;
  const isOpen = (row: Row): boolean => {
    const chosen = view.open.get(row.group.key);
    if (chosen !== undefined) return chosen;
    if (all.length <= FEW) return true;
    return rank(row) < 2 && byItself++ < OPEN_BY_ITSELF;
  };

  return (
    <section class="groups" aria-label="Groups">
      <div class="bar">
        <label class="search">
          <span class="hidden">Find groups and servers</span>
          <input
            ref={search}
            type="search"
            placeholder="Find groups and servers"
            value={view.search}
            onInput={(event) => onView({ search: event.currentTarget.value })}
          />
          <kbd aria-hidden="true">/</kbd>
        </label>
        <div class="choice" role="group" aria-label="Which groups">
          {(['all', 'problems'] as const).map((filter) => (
            <button key={filter} type="button" aria-pressed={view.filter === filter} onClick={() => onView({ filter })}>
              {filter === 'all' ? `All ${count(all.length)}` : `With problems ${count(troubled)}`}
            </button>
          ))}
        </div>
        <label class="order">
          <span>Order</span>
          <select value={view.order} onChange={(event) => onView({ order: event.currentTarget.value as Order })}>
            <option value="problems">problems first</option>
            <option value="busy">busiest first</option>
            <option value="name">by name</option>
          </select>
        </label>
      </div>
      {all.length > 0 && (
        <div class="group-columns" aria-hidden="true">
          <span>Group</span>
          <span>Servers</span>
          <span>Requests</span>
          <span>Median, 95 %</span>
          <span>Active</span>
          <span>5xx</span>
          <span>Queue</span>
        </div>
      )}
      <ul class={shown.length > DENSE ? 'group-list dense' : 'group-list'} onKeyDown={step}>
        {shown.map((row) => {
          const open = isOpen(row);
          const { group } = row;
          return (
            <GroupRow
              key={group.key}
              model={model}
              group={group}
              problems={row.problems}
              open={open}
              onToggle={() => onView({ open: new Map(view.open).set(group.key, !open) })}
              onServer={(peer) => onServer(group, peer)}
              onAdd={() => onAdd(group)}
              onSay={onSay}
            />
          );
        })}
      </ul>
      {shown.length === 0 && <Nothing all={all.length} view={view} onView={onView} />}
      {shown.length > 0 && shown.length < all.length && (
        <p class="aside" role="status">
          {many(shown.length, 'group')} of {all.length}; together {rate(total(shown))} requests a second.
        </p>
      )}
    </section>
  );
}

const total = (rows: readonly Row[]): number => rows.reduce((sum, { group }) => sum + calm(group.rps), 0);

function Nothing({ all, view, onView }: { all: number; view: View; onView: GroupsProps['onView'] }) {
  if (all === 0) {
    return (
      <div class="nothing">
        <h3>No groups yet</h3>
        <p>
          Groups are <code>upstream</code> blocks of the configuration. Servers that <code>proxy_pass</code> names
          directly are not shown here.
        </p>
      </div>
    );
  }
  return (
    <div class="nothing">
      <h3>{view.search === '' ? 'No group has problems' : `Nothing is called “${view.search}”`}</h3>
      <p>
        <button type="button" class="button" onClick={() => onView({ search: '', filter: 'all' })}>
          Show all {all} groups
        </button>
      </p>
    </div>
  );
}
