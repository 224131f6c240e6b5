/**
 * Who goes first when streams wait (RFC 7540 section 5.3; RFC 9113 leaves it to the server whether it listens): made only
 * for clients that send priorities.
 */

interface Node {
  id: number;
  parent: Node | null;
  children: Set<Node>;
  weight: number;
  /** Levels below the root. */
  rank: number;
  /** Share of the parent's weight. */
  share: number;
}

/** Nodes of streams that are closed, or not open yet: a client may build a tree of those (nginx keeps 32, too). */
const MOST_IDLE = 32;
const DEFAULT_WEIGHT = 16;

export class PriorityTree {
  readonly #root: Node = { id: 0, parent: null, children: new Set(), weight: 0, rank: 0, share: 1 };
  readonly #nodes = new Map<number, Node>();
  /** Those whose stream is not open, oldest first. */
  readonly #idle = new Set<number>();

  /** Makes `id` depend on `dependency`; `weight` 1 to 256. */
  set(id: number, dependency: number, exclusive: boolean, weight: number): void {
    const node = this.#node(id);
    let parent = dependency === 0 ? this.#root : this.#nodes.get(dependency);
    if (parent === undefined) {
      // Of a stream that is not in the tree: as if it depended on the root with the default weight.
      parent = this.#root;
      exclusive = false;
      weight = DEFAULT_WEIGHT;
    }
    node.weight = weight;
    for (let up: Node | null = parent; up !== null; up = up.parent) {
      if (up !== node) continue;
      // Its own descendant takes its place first.
      this.#move(parent, node.parent ?? this.#root);
      break;
    }
    if (exclusive) for (const child of parent.children) if (child !== node) this.#move(child, node);
    this.#move(node, parent);
    this.#spread(this.#root);
  }

  /** The stream is closed: its node goes when others need the room. */
  closed(id: number): void {
    if (this.#nodes.has(id)) this.#idle.add(id);
  }

  /** Puts first whom the client wants first. */
  sort(streams: { id: number }[]): void {
    const rank = (s: { id: number }): number => this.#nodes.get(s.id)?.rank ?? 1;
    const share = (s: { id: number }): number => this.#nodes.get(s.id)?.share ?? DEFAULT_WEIGHT / 256;
    streams.sort((a, b) => rank(a) - rank(b) || share(b) - share(a));
  }

  #node(id: number): Node {
    let node = this.#nodes.get(id);
    if (node !== undefined) {
      this.#idle.delete(id);
      return node;
    }
    if (this.#idle.size >= MOST_IDLE) this.#drop(this.#idle.values().next().value!);
    node = { id, parent: null, children: new Set(), weight: DEFAULT_WEIGHT, rank: 1, share: 0 };
    this.#nodes.set(id, node);
    return node;
  }

  /** Its children take its place and share its weight. */
  #drop(id: number): void {
    const node = this.#nodes.get(id)!;
    this.#nodes.delete(id);
    this.#idle.delete(id);
    const parent = node.parent ?? this.#root;
    let sum = 0;
    for (const child of node.children) sum += child.weight;
    for (const child of node.children) {
      child.weight = Math.max(1, Math.floor((node.weight * child.weight) / Math.max(1, sum)));
      this.#move(child, parent);
    }
    parent.children.delete(node);
  }

  #move(node: Node, parent: Node): void {
    node.parent?.children.delete(node);
    node.parent = parent;
    parent.children.add(node);
  }

  #spread(node: Node): void {
    for (const child of node.children) {
      child.rank = node.rank + 1;
      child.share = (node.share * child.weight) / 256;
      this.#spread(child);
    }
  }
}
