document.getElementById("app").textContent = "Plimsoll";
