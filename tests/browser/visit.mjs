// SPDX-License-Identifier: Apache-2.0
// A browser visits a site through the proxy and tells, as JSON, what it saw. Its proxy settings
// and caches are its own; names of shop.test lead to loopback.
//
// usage: node visit.mjs CHROMIUM ORIGIN
import { chromium } from "playwright-core";

const [executablePath, origin] = process.argv.slice(2);
const browser = await chromium.launch({
	executablePath,
	args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server",
		"--host-resolver-rules=MAP *.test 127.0.0.1"],
});

try {
	const context = await browser.newContext({ ignoreHTTPSErrors: true });
	const page = await context.newPage();
	const failures = [];

	page.on("requestfailed", (r) => failures.push(`${r.url()}: ${r.failure().errorText}`));
	const first = await page.goto(`${origin}/`);
	const seen = await page.evaluate(async () => {
		const protocol = performance.getEntriesByType("navigation")[0].nextHopProtocol;
		const many = await Promise.all(Array.from({ length: 50 }, async (_, i) => {
			const answer = await fetch(`/bytes/${1000 + i}`);
			return (await answer.arrayBuffer()).byteLength === 1000 + i;
		}));
		const posted = await fetch("/echo", { method: "POST", body: "x".repeat(100000) });
		const echoed = await posted.text();
		const socket = await new Promise((resolve) => {
			const ws = new WebSocket(`${location.origin.replace("http", "ws")}/upgrade`);

			ws.onopen = () => ws.send("hello");
			ws.onmessage = (e) => { resolve(e.data); ws.close(); };
			ws.onerror = () => resolve("error");
		});
		return { protocol, many: many.filter(Boolean).length, echoed: echoed.length, socket };
	});
	console.log(JSON.stringify({ status: first.status(), failures, ...seen }));
} finally {
	await browser.close();
}
