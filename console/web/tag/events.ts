import { hex, type User } from './identity';
import { type Answer, type Letter, outbox, type Outbox } from './outbox';
import { guard } from './safety';
import { local } from './storage';

/** Events sends what the user does, in the order of the calls. */
export interface Events {
  /** send resolves with the server's answer; it never rejects. */
  send(type: 'track' | 'identify' | 'page', who: User, fields: object): Promise<Answer>;
  hide(): void;
}

// Each tab keeps its letters under its own name, and a tab that opens takes over whatever it finds,
// even from one that still lives: then an event goes out twice, with the same messageId, and counts once.
const stored = 'outbox.';

/** events keeps up to 100 events, over page loads too, until the server took or refused them. */
export function events(base: string, key: string): Events {
  const tab = stored + hex(8);
  const box: Outbox = outbox({
    base,
    limit: 100,
    pack(letters, beacon) {
      const [first] = letters;
      const head = JSON.stringify({ writeKey: key, sentAt: new Date() }).slice(0, -1);
      return first && !letters[1] && !beacon
        ? { to: first.to, body: head + ',' + first.json.slice(1) }
        : { to: 'batch', body: head + ',"batch":[' + letters.map((l) => l.json) + ']}' };
    },
    kept: (letters) => (letters[0] ? local.write(tab, letters.map((l) => [l.to, l.json])) : local.remove(tab)),
  });
  for (const old of local.keys(stored)) {
    const letters = local.read<[string, string][]>(old, []);
    local.remove(old);
    guard(() => letters.forEach(([to, json]) => box.add({ to, json })))();
  }
  return {
    send: (type, who, fields) =>
      new Promise((done) => {
        const event = {
          type,
          messageId: hex(16),
          timestamp: new Date(),
          ...who,
          ...fields,
          context: { page: { path: location.pathname, referrer: document.referrer } },
        };
        const letter: Letter = { to: type, json: '', done };
        guard(() => (letter.json = JSON.stringify(event)))();
        letter.json ? box.add(letter) : done({ success: false, status: 0 });
      }),
    hide: box.hide,
  };
}
