<?php
// The front page: every address that is not a file comes here.
header('Content-Type: text/plain');
header('X-Powered-By: example');
if (isset($_GET['go'])) {
    header('Location: /elsewhere');
    exit;
}
echo "{$_SERVER['REQUEST_METHOD']} {$_SERVER['REQUEST_URI']}\n";
echo 'path info: ', $_SERVER['PATH_INFO'] ?? '', "\n";
echo 'query: ', $_SERVER['QUERY_STRING'], "\n";
echo 'agent: ', $_SERVER['HTTP_USER_AGENT'] ?? '', "\n";
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    echo 'body: ', strlen(file_get_contents('php://input')), "\n";
}
