// What each platform makes of a message: pure, so that a device can be looked at as another one.
//
// A face is what is seen (title, subtitle, body, image, icon, color, link), whether anything is (silent), what it
// replaces on the screen (replaces), what it replaces while the device is offline (collapses), how long it waits for
// the device (ttlMs), and what the app is given (data, facts).

/** A field by its name in either spelling; Google takes both. */
export function field(object, name) {
  if (object === null || typeof object !== "object") return undefined;
  return object[name] ?? object[name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())] ?? undefined;
}

function at(object, ...names) {
  return names.reduce(field, object);
}

function text(...values) {
  const value = values.find((candidate) => ["string", "number", "boolean"].includes(typeof candidate) && candidate !== "");
  return value === undefined ? "" : String(value);
}

/** A header by its name, in whatever case it was written. */
function header(headers, name) {
  const entry = Object.entries(headers ?? {}).find(([key]) => key.toLowerCase() === name);
  return entry ? text(entry[1]) : "";
}

/** What stands for a string that the app translates: the key, and what is filled in. */
function localized(key, values) {
  if (!key) return "";
  return Array.isArray(values) && values.length > 0 ? `${key} (${values.map((value) => text(value)).join(", ")})` : text(key);
}

/** The one platform that a message has a block for; undefined if there is none or several. */
export function platformOf(message) {
  const blocks = [
    ["android", field(message, "android") ?? field(message, "android_v2")],
    ["ios", field(message, "apns")],
    ["web", field(message, "webpush")],
  ].filter(([, block]) => block !== undefined);
  return blocks.length === 1 ? blocks[0][0] : undefined;
}

/** The face of a message on `android`, `ios` or `web`, or for a `group` of devices (a topic or condition). */
export function faceOf(message, platform) {
  const face = FACES[platform](message);
  const seen = face.title || face.subtitle || face.body || face.image;
  return { subtitle: "", icon: "", color: "", link: "", ...face, silent: !seen };
}

const FACES = { android, ios, web, group };

function android(message) {
  const config = field(message, "android") ?? field(message, "android_v2");
  const own = field(config, "notification") ?? at(config, "remote_notification", "notification");
  const common = field(message, "notification");
  const data = field(config, "data") ?? field(message, "data");
  const [tag, id] = [text(field(own, "tag")), text(field(own, "id"))];
  const color = text(field(own, "color"));
  return {
    title: text(field(own, "title"), field(common, "title"), localized(field(own, "title_loc_key"), field(own, "title_loc_args"))),
    body: text(field(own, "body"), field(common, "body"), localized(field(own, "body_loc_key"), field(own, "body_loc_args"))),
    image: text(field(own, "image"), field(common, "image")),
    color: /^#[0-9a-f]{6}$/i.test(color) ? color : "",
    link: text(field(data, "link")),
    replaces: tag || id ? `${tag}\n${id}` : "",
    collapses: text(field(config, "collapse_key")),
    ttlMs: duration(field(config, "ttl")),
    data,
    facts: facts({
      priority: field(config, "priority"),
      ttl: field(config, "ttl"),
      channel: field(own, "channel_id"),
      tag,
      "collapse key": field(config, "collapse_key"),
      sound: field(own, "sound"),
      "click action": field(own, "click_action"),
    }),
  };
}

function ios(message) {
  const config = field(message, "apns");
  const payload = field(config, "payload") ?? {};
  const { aps = {}, ...custom } = payload;
  const alert = field(aps, "alert");
  // A bare string is the whole alert; an object overrides what it names.
  const own = typeof alert === "string" ? { body: alert } : alert;
  const common = typeof alert === "string" ? undefined : field(message, "notification");
  const headers = field(config, "headers");
  const data = { ...field(message, "data"), ...custom };
  const expiration = header(headers, "apns-expiration");
  return {
    title: text(own?.title, field(common, "title"), localized(own?.["title-loc-key"], own?.["title-loc-args"])),
    subtitle: text(own?.subtitle, localized(own?.["subtitle-loc-key"], own?.["subtitle-loc-args"])),
    body: text(own?.body, field(common, "body"), localized(own?.["loc-key"], own?.["loc-args"])),
    image: text(at(config, "fcm_options", "image"), at(message, "notification", "image")),
    link: text(data.link),
    replaces: header(headers, "apns-collapse-id"),
    collapses: header(headers, "apns-collapse-id"),
    expiresMs: expiration === "" ? undefined : Number(expiration) * 1_000,
    data,
    facts: facts({
      priority: header(headers, "apns-priority"),
      expiration,
      "collapse id": header(headers, "apns-collapse-id"),
      "push type": header(headers, "apns-push-type"),
      badge: field(aps, "badge"),
      sound: typeof aps?.sound === "object" ? aps.sound?.name : aps?.sound,
      category: aps?.category,
      thread: aps?.["thread-id"],
      "interruption level": aps?.["interruption-level"],
    }),
  };
}

function web(message) {
  const config = field(message, "webpush");
  const own = field(config, "notification");
  const common = field(message, "notification");
  const headers = field(config, "headers");
  const data = field(config, "data") ?? field(message, "data");
  const ttl = header(headers, "ttl");
  return {
    title: text(own?.title, field(common, "title")),
    body: text(own?.body, field(common, "body")),
    image: text(own?.image, field(common, "image")),
    icon: text(own?.icon),
    link: text(at(config, "fcm_options", "link"), field(data, "link")),
    replaces: text(own?.tag),
    collapses: header(headers, "topic"),
    ttlMs: ttl === "" ? undefined : Number(ttl) * 1_000,
    data,
    facts: facts({
      urgency: header(headers, "urgency"),
      ttl,
      tag: own?.tag,
      topic: header(headers, "topic"),
      "stays until dismissed": own?.requireInteraction,
      actions: Array.isArray(own?.actions) ? own.actions.map((action) => text(action?.title)).join(", ") : "",
    }),
  };
}

/** Many devices of any platform: the common part, or that of the first platform that has one of its own. */
function group(message) {
  const faces = [android(message), ios(message), web(message)];
  const common = field(message, "notification");
  const first = faces.find((face) => face.title || face.body || face.image) ?? faces[0];
  return {
    title: text(field(common, "title"), first.title),
    body: text(field(common, "body"), first.body),
    image: text(field(common, "image"), first.image),
    link: first.link,
    replaces: "",
    collapses: "",
    data: field(message, "data"),
    facts: first.facts,
  };
}

function facts(named) {
  return Object.entries(named)
    .map(([name, value]) => [name, text(value)])
    .filter(([, value]) => value !== "");
}

/** `3.5s` in milliseconds; the emulator has checked its shape. */
function duration(value) {
  const seconds = Number.parseFloat(text(value));
  return Number.isNaN(seconds) ? undefined : seconds * 1_000;
}
