import { guard, on, after } from './safety';

/** View is one slot in a frame. */
export interface View {
  /** o is the seq at which the slot opened. */
  o: number;
  fill: string;
  /** in and tot are CSS px²: what is in the viewport, and all of it. */
  in: number;
  tot: number;
  campaign?: string;
  creative?: string;
  placement?: string;
  vid?: 1;
  play?: 0 | 1;
  /** mt is the video's own time, ms. */
  mt?: number;
}

interface Slot {
  element: Element;
  opened: number; // seq, -1 until a frame told of it
  inside: number;
  total: number; // -1 until measured
}

/** Slots are the elements with data-dwell-slot, those in the page and those that come. */
export interface Slots {
  /** views are all measured slots by name; a slot told for the first time opens at seq. */
  views(seq: number): Record<string, View>;
  /** measure has every slot's rectangle looked at anew. */
  measure(): void;
  /** reopen lets every slot open again: a new page view begins. */
  reopen(): void;
}

const most = 64; // what a frame may hold
const steps = Array.from({ length: 21 }, (_, i) => i / 20);
const media = 'play pause playing waiting ended emptied';

/** watch calls changed when a slot came, went, moved, or became another fill. */
export function watch(changed: () => void): Slots {
  let slots: Record<string, Slot> = Object.create(null);
  let timer = 0;

  const moved = (entries: IntersectionObserverEntry[]) => {
    for (const { target, intersectionRect: i, boundingClientRect: b } of entries) {
      const slot = Object.values(slots).find((s) => s.element == target);
      if (!slot) continue;
      slot.total = Math.round(b.width * b.height);
      slot.inside = Math.min(slot.total, Math.round(i.width * i.height));
    }
    changed();
  };
  const eyes = new IntersectionObserver(guard(moved), { threshold: steps });

  const scan = () => {
    timer = 0;
    const found: typeof slots = Object.create(null);
    let count = 0;
    document.querySelectorAll('[data-dwell-slot]').forEach((element) => {
      const name = said(element, 'slot');
      // Of two elements with one name the first is the slot.
      if (!name || found[name] || ++count > most) return;
      const old = slots[name];
      found[name] = old && old.element == element ? old : { element, opened: -1, inside: 0, total: -1 };
      if (found[name] != old) eyes.observe(element);
    });
    for (const name in slots) if (found[name] != slots[name]) eyes.unobserve(slots[name]!.element);
    slots = found;
    changed();
  };

  new MutationObserver(() => (timer = timer || after(50, scan))).observe(document, {
    subtree: true,
    childList: true,
    attributeFilter: ['slot', 'fill', 'campaign', 'creative', 'placement'].map((a) => 'data-dwell-' + a),
  });
  on(document, media, () => changed());
  scan();

  return {
    views(seq) {
      const views: Record<string, View> = {};
      for (const name in slots) {
        const slot = slots[name]!;
        if (slot.total < 0) continue;
        if (slot.opened < 0) slot.opened = seq;
        views[name] = view(slot);
      }
      return views;
    },
    measure() {
      for (const name in slots) {
        eyes.unobserve(slots[name]!.element);
        eyes.observe(slots[name]!.element);
      }
    },
    reopen() {
      for (const name in slots) slots[name]!.opened = -1;
    },
  };
}

function view({ element, opened, inside, total }: Slot): View {
  const v: View = { o: opened, fill: said(element, 'fill') || '1', in: inside, tot: total };
  for (const a of ['campaign', 'creative', 'placement'] as const) {
    const text = said(element, a);
    if (text) v[a] = text;
  }
  const video = element.matches('video') ? element : element.querySelector('video');
  if (video) {
    const { paused, ended, readyState, currentTime } = video as HTMLVideoElement;
    v.vid = 1;
    v.play = paused || ended || readyState < 3 ? 0 : 1;
    v.mt = Math.floor(currentTime * 1e3);
  }
  return v;
}

// The server takes names of at most 256 bytes, and a character may need three.
function said(element: Element, what: string): string {
  return (element.getAttribute('data-dwell-' + what) || '').slice(0, 80);
}
