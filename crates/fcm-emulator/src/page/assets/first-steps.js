// What stands where the devices will be, until something arrives: how to make something arrive.

import { el } from "./dom.js";

/** Each way to send, as text to copy. `project` is the first one that is served. */
const WAYS = [
  {
    name: "Python",
    text: (origin, project) => `import firebase_admin
from firebase_admin import credentials, messaging

messaging._MessagingService.FCM_URL = "${origin}/v1/projects/{0}/messages:send"
firebase_admin.initialize_app(credentials.Certificate("sa.json"), {"projectId": "${project}"})

messaging.send(messaging.Message(
    token="my-first-phone",
    notification=messaging.Notification(title="Hello", body="It works"),
))`,
  },
  {
    name: "Go",
    text: (origin, project) => `app, err := firebase.NewApp(ctx,
    &firebase.Config{ProjectID: "${project}"},
    option.WithCredentialsFile("sa.json"),
    option.WithEndpoint("${origin}/v1"))`,
  },
  {
    name: "Any HTTP client",
    text: (origin, project) => `POST ${origin}/v1/projects/${project}/messages:send
Authorization: Bearer <access token>
Content-Type: application/json

{"message": {"token": "my-first-phone", "notification": {"title": "Hello", "body": "It works"}}}

The access token: POST ${origin}/token
  grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer
  assertion=<a JWT signed with the key of sa.json>`,
  },
];

/** Fills the place; call it again when the projects are known. */
export function firstSteps(place, projects) {
  const { origin, host, protocol } = window.location;
  const project = projects[0] ?? "demo";
  const code = el("pre", { tabindex: "0" });
  const copied = el("span", { role: "status" });
  const choose = (way, chosen) => {
    code.textContent = way.text(origin, project);
    for (const button of ways.children) button.setAttribute("aria-pressed", String(button === chosen));
  };
  const ways = el("div", { class: "ways", role: "group", "aria-label": "Ways to send" });
  for (const way of WAYS) {
    const button = el("button", { type: "button", text: way.name, on: { click: () => choose(way, button) } });
    ways.append(button);
  }
  const copy = el("button", { type: "button", class: "copy", text: "Copy", on: { click: () => copyText(code, copied) } });
  choose(WAYS[0], ways.firstElementChild);
  const start = `fcm-emulator --listen ${host}${protocol === "https:" ? " --tls --ca-out ca.pem" : ""} --project ${project} --service-account-out sa.json`;
  place.replaceChildren(
    el("div", { class: "sleeping-phone", "aria-hidden": "true" }, el("span")),
    el("h2", { text: "Nothing has arrived yet" }),
    el("p", { text: `Point your SDK at ${origin}. Each device appears here with its first message, as the phone or browser it is.` }),
    el("p", {}, "Your SDK signs in with the service account that the emulator writes when it starts: ", el("code", { text: start })),
    ways,
    el("div", { class: "snippet" }, code, copy),
    copied,
  );
}

async function copyText(code, copied) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    copied.textContent = "Copied.";
  } catch {
    window.getSelection().selectAllChildren(code);
    copied.textContent = "Selected; copy it with the keyboard.";
  }
}
