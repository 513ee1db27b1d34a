const response = await fetch("/api/uptime");
const { seconds } = await response.json();
document.querySelector("#uptime").value = seconds;
