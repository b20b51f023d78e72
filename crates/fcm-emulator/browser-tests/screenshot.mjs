// Draws docs/guide/images/emulator.png: `node screenshot.mjs OUT [light|dark] [WIDTHxHEIGHT]`. A challenge app on a
// usual evening. The clock stands still, so that the same page makes the same picture.

import { launch, open } from "./browser.mjs";
import { Emulator } from "./emulator.mjs";

const [out, colorScheme = "light", size = "1500x1080"] = process.argv.slice(2);
if (!out) throw new Error("name the file to write");
const [width, height] = size.split("x").map(Number);

/** In the past, so that everything has come just now. */
const EVENING = new Date(2026, 10, 2, 20, 41);
const tagged = (tag) => ({ android: { ttl: "7200s", collapse_key: tag, notification: { tag, color: "#0f8a6c" } } });
const collapsing = (id) => ({ apns: { headers: { "apns-collapse-id": id }, payload: { aps: { sound: "default" } } } });
const day = { kind: "reminder", challenge: "42" };

const SCENE = [
  { topic: "notice", notification: { title: "서비스 점검 안내", body: "오늘 새벽 2시부터 10분간 점검이 있어요. 인증 시간은 자동으로 연장됩니다." },
    data: { kind: "notice" } },
  { token: "taeyang-galaxy", notification: { title: "다시 시작해 볼까요?", body: "지난 챌린지에서 21일을 채웠어요. 이번엔 30일!" }, data: day,
    ...tagged("again") },
  { token: "doyun-ios", notification: { title: "New challenge from a friend", body: "Haon invites you to “No sugar in December”." },
    data: { kind: "invite" }, ...collapsing("invite") },
  { token: "seoyeon-pixel", notification: { title: "7일 연속 성공!", body: "‘아침 6시 기상’ 리워드 3,000원이 적립됐어요." }, data: { kind: "reward" },
    ...tagged("reward") },
  { token: "seoyeon-pixel", data: { kind: "sync", rev: "118" }, android: { priority: "normal" } },
  { token: "dashboard-web", notification: { title: "New proof to review", body: "3 members of “Read 20 pages” wait for you." },
    data: { kind: "review" }, webpush: { notification: { tag: "review" }, fcm_options: { link: "https://example.com/review" } } },
  { token: "dashboard-web", notification: { title: "Weekly report is ready", body: "87 % of all days were proved. That is 4 points more than last week." },
    data: { kind: "report" }, webpush: { fcm_options: { link: "https://example.com/reports/47" } } },
  { token: "jun-iphone", notification: { title: "Ready for tomorrow?", body: "Your challenge “Morning run” starts at 6:30." }, data: day,
    ...collapsing("start") },
  ...[62, 74, 88].map((percent) => ({
    token: "jun-iphone", notification: { title: "친구들이 앞서가고 있어요", body: `팀 달성률 ${percent}%. 지금 인증하면 1위!` }, data: { kind: "progress" },
    ...collapsing("progress"),
  })),
  { token: "minji-galaxy", notification: { title: "하온님이 응원을 보냈어요", body: "“오늘도 할 수 있어!”" }, data: { kind: "cheer" }, ...tagged("cheer") },
  ...["12시간", "6시간", "3시간"].map((left) => ({
    token: "minji-galaxy", notification: { title: "오늘의 인증이 아직이에요", body: `‘물 2리터 마시기’ 마감까지 ${left} 남았어요. 사진 한 장이면 충분해요!` },
    data: { ...day, link: "https://example.com/challenges/42" }, ...tagged("day-42"),
  })),
];

const emulator = await Emulator.start({ port: 9099, projects: ["challenge"] });
const browser = await launch();
try {
  await emulator.subscribe("taeyang-galaxy", "notice");
  await emulator.send(...SCENE);
  await emulator.putFaults({
    rates: { unavailable: 0.05, quota: 0.02, internal: 0.01 },
    latency_ms: { min: 20, max: 300 },
    retry_after_s: { min: 1, max: 5 },
    tokens: [{ prefix: "taeyang-galaxy$", answer: "unregistered" }],
  });
  const look = { viewport: { width, height }, deviceScaleFactor: 1, colorScheme, locale: "en-GB" };
  const { page } = await open(browser, emulator, look, (page) => page.clock.setFixedTime(EVENING));
  await page.getByText("3시간").waitFor();
  await page.getByText("unregistered").first().waitFor();
  await page.screenshot({ path: out });
} finally {
  await browser.close();
  await emulator.stop();
}
