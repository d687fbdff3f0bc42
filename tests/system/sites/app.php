<?php
// A small application, for tests with php-fpm: a form with a file, a session, a redirect, output that streams, an error.
ini_set('session.use_strict_mode', '0');
$path = $_SERVER['PATH_INFO'] ?? '';
switch ($path) {
case '/upload':
    $file = $_FILES['file'];
    header('Content-Type: text/plain');
    echo $file['name'], ' ', $file['size'], ' ', hash_file('sha256', $file['tmp_name']), ' ', $_POST['title'];
    break;
case '/count':
    session_start();
    $_SESSION['n'] = ($_SESSION['n'] ?? 0) + 1;
    echo $_SESSION['n'];
    break;
case '/login':
    setcookie('user', $_POST['user'] ?? 'nobody', ['path' => '/', 'httponly' => true]);
    header('Location: ' . dirname($_SERVER['SCRIPT_NAME'], 1) . '?hello', true, 303);
    break;
case '/stream':
    // Goes on when the test has seen the first part.
    while (ob_get_level())
        ob_end_clean();
    header('Content-Type: text/plain');
    echo "first\n";
    flush();
    while (!file_exists($_GET['until']))
        usleep(20000);
    clearstatcache();
    echo "second\n";
    break;
case '/big':
    while (ob_get_level())
        ob_end_clean();
    header('Content-Type: application/octet-stream');
    for ($left = (int)$_GET['size']; $left > 0; $left -= 65536)
        echo str_repeat('x', min($left, 65536));
    break;
case '/break':
    error_log('the shop is on fire');
    no_such_function();
    break;
default:
    header('Content-Type: text/plain');
    foreach (['SCRIPT_NAME', 'PATH_INFO', 'QUERY_STRING', 'REQUEST_URI', 'PHP_SELF', 'REQUEST_METHOD', 'HTTPS', 'SSL_PROTOCOL', 'HTTP_AUTHORIZATION'] as $name)
        echo $name, '=', $_SERVER[$name] ?? '-', "\n";
}
